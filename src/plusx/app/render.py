"""From a page and the controls' values to HTML: whole, or only the parts that a control's move can change.

In a page's template each `{% block %}` but `main` is a part. The first answer is the whole page; after that
the browser asks for the parts alone and puts the changed ones in place.
"""

from functools import cache, lru_cache
from typing import Any

from jinja2 import Environment
from latex2mathml.converter import convert
from markupsafe import Markup
from starlette.datastructures import QueryParams

from plusx.app import charts, drawing
from plusx.app.forms import FieldError, Form
from plusx.app.numbers import digits, percent
from plusx.app.page import House, Page
from plusx.app.pages import PAGES
from plusx.app.pictures import SHOWN
from plusx.app.texts import Texts
from plusx.report.html import environment
from plusx.text import Language


def titles(language: Language) -> list[tuple[str, str]]:
    """The name and the title of every page, in the order of the lesson.

    >>> titles("zh")[0]
    ('convolution', '卷积')
    """
    return [(name, Texts(name, language)["title"]) for name in PAGES]


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
    return template.render(_shared(page, query, house, texts), **computed, faults=faults, later=False)


def parts(page: Page, query: QueryParams, house: House, language: Language) -> dict[str, Any]:
    """The parts as HTML by name, or what is wrong by control: {"parts": …} or {"faults": …}."""
    texts = Texts(page.name, language)
    try:
        computed = page.compute(Form(query), house, texts)
        if page.later is not None:
            computed |= page.later(computed, house, texts)
    except FieldError as fault:
        return {"faults": {fault.field: texts(fault.key, **fault.values)}}
    template = templates().get_template(f"{page.name}.html.jinja")
    shown = template.new_context(
        _shared(page, query, house, texts) | computed | {"faults": {}, "later": True}
    )
    return {
        "parts": {
            name: "".join(render(shown)).strip() for name, render in template.blocks.items() if name != "main"
        }
    }


def _shared(page: Page, query: QueryParams, house: House, texts: Texts) -> dict[str, Any]:
    """What every template may show."""
    return {
        "t": texts,
        "page": page,
        "language": texts.language,
        "query": query,
        "pictures": SHOWN,
        "networks": [(name, name) for name in house.networks.names()],
    }
