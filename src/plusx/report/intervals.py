"""How sure a figure is: intervals for an accuracy, for the difference of two, and for that of two means.

An accuracy is measured on some test pictures and stands for all pictures like them; these intervals say how
far it may be off for that reason. What another seed would have changed is not in them: for that, train
several seeds and use `welch_interval`.
"""

from collections.abc import Sequence
from math import pi, sqrt
from statistics import NormalDist, fmean, variance

import numpy as np

Interval = tuple[float, float]
LEVEL = 0.95


def wilson_interval(correct: int, total: int, level: float = LEVEL) -> Interval:
    """Interval that holds the true accuracy with probability `level` (Wilson 1927, score method).

    With p = correct/total, n = total and z the normal quantile, it is
    (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n); unlike p ± z √(p(1−p)/n) it stays in 0…1.

    Raises:
        ValueError: not 0 ≤ correct ≤ total with total > 0.

    >>> [round(bound, 4) for bound in wilson_interval(9300, 10000)]
    [0.9248, 0.9348]
    """
    if not 0 <= correct <= total or total == 0:
        raise ValueError(f"{correct} right out of {total} pictures is impossible")
    z = _normal_quantile(level)
    p, n = correct / total, total
    centre = p + z**2 / (2 * n)
    half = z * sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    # At the two ends the bound is exact; the formula would miss it by a rounding error.
    low = (centre - half) / scale if correct > 0 else 0.0
    high = (centre + half) / scale if correct < total else 1.0
    return low, high


def unpaired_interval(first: tuple[int, int], second: tuple[int, int], level: float = LEVEL) -> Interval:
    """Interval of second minus first accuracy, measured on different pictures (Newcombe 1998, method 10).

    With p the two accuracies and l, u their Wilson intervals, and d = p₂ − p₁, it is
    d − √((p₂−l₂)² + (u₁−p₁)²) … d + √((u₂−p₂)² + (p₁−l₁)²). On the same pictures it holds too, but is wider
    than it need be: see `paired_interval`.

    Args:
        first: pictures named right, and all pictures.
        second: the same of the other network.
        level: probability that the interval holds the true difference.

    Raises:
        ValueError: as `wilson_interval`.

    >>> [round(bound, 4) for bound in unpaired_interval((9300, 10_000), (9400, 10_000))]
    [0.0032, 0.0168]
    """
    (l1, u1), (l2, u2) = wilson_interval(*first, level), wilson_interval(*second, level)
    p1, p2 = first[0] / first[1], second[0] / second[1]
    return p2 - p1 - sqrt((p2 - l2) ** 2 + (u1 - p1) ** 2), p2 - p1 + sqrt((u2 - p2) ** 2 + (p1 - l1) ** 2)


def paired_interval(gained: int, lost: int, total: int, level: float = LEVEL) -> Interval:
    """Interval of the difference of two accuracies on the same pictures (Bonett and Price 2012).

    Pictures that both name right, or both wrong, say nothing about the difference; those that only one names
    right do. One such picture is added on either side, which keeps the interval honest where they are few:
    with g = (gained + 1)/(n + 2) and l = (lost + 1)/(n + 2) it is g − l ± z √((g + l − (g − l)²)/(n + 2)).

    Args:
        gained: pictures that only the second network names right.
        lost: pictures that only the first names right.
        total: all pictures.
        level: probability that the interval holds the true difference.

    Raises:
        ValueError: if they are more than `total`, or negative.

    >>> [round(bound, 4) for bound in paired_interval(gained=300, lost=200, total=10_000)]
    [0.0056, 0.0144]
    """
    if min(gained, lost) < 0 or not gained + lost <= total or total == 0:
        raise ValueError(f"{gained} gained and {lost} lost of {total} pictures is impossible")
    n = total + 2
    g, l = (gained + 1) / n, (lost + 1) / n  # noqa: E741  (the formula's letter)
    half = _normal_quantile(level) * sqrt((g + l - (g - l) ** 2) / n)
    return max(g - l - half, -1.0), min(g - l + half, 1.0)


def welch_interval(
    first: Sequence[float], second: Sequence[float], level: float = LEVEL
) -> tuple[Interval, float] | None:
    """Interval of mean(second) − mean(first), each over several seeds whose spread may differ (Welch 1947).

    With s² the variances and n the numbers of seeds, it is d ± t √(s₁²/n₁ + s₂²/n₂), where t is Student's
    quantile with ν = (s₁²/n₁ + s₂²/n₂)² / ((s₁²/n₁)²/(n₁−1) + (s₂²/n₂)²/(n₂−1)) degrees of freedom.

    Returns:
        The interval and ν; None if neither has any spread, which says nothing about the next seed.

    Raises:
        ValueError: if one has fewer than two values.

    >>> (low, high), freedom = welch_interval([0.93, 0.932, 0.934], [0.94, 0.941, 0.942])
    >>> round(low, 4), round(high, 4), round(freedom, 2)
    (0.0048, 0.0132, 2.94)
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"a spread needs two values at least, not {len(first)} and {len(second)}")
    shares = [variance(values) / len(values) for values in (first, second)]
    if sum(shares) == 0:
        return None
    freedom = sum(shares) ** 2 / sum(
        s**2 / (len(values) - 1) for s, values in zip(shares, (first, second), strict=True)
    )
    difference = fmean(second) - fmean(first)
    half = student_quantile(level, freedom) * sqrt(sum(shares))
    return (difference - half, difference + half), freedom


def student_quantile(level: float, freedom: float) -> float:
    """The t within which Student's distribution lies on both sides of 0 with probability `level`.

    With t = √ν tan θ the density becomes cos^(ν−1) θ, smooth on 0 … π/2, and is summed up by trapezoids;
    good to four figures from ν = 1 on.

    >>> round(student_quantile(0.95, 10), 3)
    2.228
    """
    angle = np.linspace(0, pi / 2, 20_001)
    density = np.cos(angle) ** (freedom - 1)
    mass = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    return float(sqrt(freedom) * np.tan(np.interp(level, mass / mass[-1], angle)))


def _normal_quantile(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)
