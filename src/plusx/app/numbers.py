"""Numbers as the pages write them."""


def digits(value: float, count: int = 3) -> str:
    """A number with so many significant digits, a true minus sign, and no exponent where it can be helped.

    >>> digits(0.12345), digits(-1234.5), digits(0), digits(3.2e-9)
    ('0.123', '−1230', '0', '3.2 × 10⁻⁹')
    """
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        mantissa, _, exponent = f"{value:.{count - 1}e}".partition("e")
        power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa} × 10{power}".replace("-", "−")
    rounded = float(f"{value:.{count - 1}e}")
    return f"{rounded:.12f}".rstrip("0").rstrip(".").replace("-", "−")


def percent(share: float) -> str:
    """A share of one in percent with three significant digits at most.

    >>> percent(0.98765), percent(0.00004), percent(1.0), percent(0)
    ('98.8\\xa0%', '< 0.1\\xa0%', '100\\xa0%', '0\\xa0%')
    """
    if share == 0:
        return "0\u00a0%"
    if share < 0.001:
        return "< 0.1\u00a0%"
    return f"{100 * share:.1f}\u00a0%".replace("100.0", "100")
