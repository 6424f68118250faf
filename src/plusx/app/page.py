"""A page: from the controls' values to HTML, whole, or only the parts that a control's move can change.

In a page's template each `{% block %}` but `main` is a part. The first answer is the whole page; after that
the browser asks for the parts alone and puts the changed ones in place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment
from latex2mathml.converter import convert
from markupsafe import Markup
from starlette.datastructures import QueryParams

from plusx.app import charts, drawing
from plusx.app.forms import FieldError, Form
from plusx.app.networks import Networks
from plusx.app.pictures import SHOWN, Shelf
from plusx.app.runs import Runs
from plusx.app.texts import Texts
from plusx.report.page import environment
from plusx.text import Language


@dataclass(frozen=True)
class House:
    """What all pages share.

    Attributes:
        networks: the trained networks that can be chosen.
        runs: the run folders.
        shelf: the uploaded pictures.
        data: the folder named on the command line, if one was.
    """

    networks: Networks
    runs: Runs
    shelf: Shelf
    data: Path | None


Compute = Callable[[Form, House, Texts], dict[str, Any]]
"""From the controls' values to what a template shows."""


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        name: of its template and its texts, and in its address.
        compute: what the template shows at once.
        later: what takes longer. It is computed after the page is on the screen, one at a time among all
            tabs, so that it leaves them alone; until then `later` is false in the template.
    """

    name: str
    compute: Compute
    later: Compute | None = None


ORDER = ("convolution", "pooling", "inside", "plus-one", "training", "predict")
"""The pages, in the order of the lesson."""


def titles(language: Language) -> list[tuple[str, str]]:
    """The name and the title of every page.

    >>> titles("zh")[0]
    ('convolution', '卷积')
    """
    return [(name, Texts(name, language)["title"]) for name in ORDER]


@cache
def templates() -> Environment:
    """Jinja, with what templates need to draw."""
    found = environment("plusx.app")
    found.globals |= {"math": formula, "drawing": drawing, "charts": charts, "titles": titles}
    found.filters |= {"digits": digits, "percent": percent}
    found.globals["ui"] = found.get_template("controls.html.jinja").module
    return found


@lru_cache(maxsize=500)
def formula(latex: str, display: bool = False) -> Markup:
    """LaTeX as MathML, which browsers draw by themselves.

    >>> "<mfrac>" in formula(r"\\frac{1}{2}")
    True
    """
    return Markup(convert(latex, display="block" if display else "inline"))


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


def whole(page: Page, query: QueryParams, house: House, language: Language) -> str:
    """The whole page as HTML. Where a value can't be used, all are the defaults, and the page says why."""
    texts = Texts(page.name, language)
    faults = {}
    try:
        computed = page.compute(Form(query), house, texts)
    except FieldError as fault:
        faults = {fault.field: texts(fault.key, **fault.values)}
        query = QueryParams()
        computed = page.compute(Form(query), house, texts)
    template = templates().get_template(f"{page.name}.html.jinja")
    shared = {"t": texts, "page": page, "language": language, "query": query, "pictures": SHOWN}
    return template.render(shared, **computed, faults=faults, later=False)


def parts(page: Page, query: QueryParams, house: House, language: Language) -> dict[str, Any]:
    """The parts as HTML by name, or what is wrong by control: {"parts": …} or {"faults": …}."""
    texts, form = Texts(page.name, language), Form(query)
    try:
        computed = page.compute(form, house, texts)
        if page.later is not None:
            computed |= page.later(form, house, texts)
    except FieldError as fault:
        return {"faults": {fault.field: texts(fault.key, **fault.values)}}
    template = templates().get_template(f"{page.name}.html.jinja")
    shown = template.new_context(
        {"t": texts, "page": page, "language": language, "query": query, "pictures": SHOWN}
        | computed
        | {"faults": {}, "later": True}
    )
    return {
        "parts": {
            name: "".join(render(shown)).strip() for name, render in template.blocks.items() if name != "main"
        }
    }
