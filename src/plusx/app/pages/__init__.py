"""The pages, in the order of the lesson."""

from plusx.app.page import Page
from plusx.app.pages import convolution, plus_one, pooling, predict
from plusx.app.texts import Language, Texts

PAGES: dict[str, Page] = {page.name: page for page in (
        convolution.PAGE,
        pooling.PAGE,
        plus_one.PAGE,
        predict.PAGE,
    )}


def titles(language: Language) -> list[tuple[str, str]]:
    """The name and the title of every page.

    >>> titles("zh")[0]
    ('convolution', '卷积')
    """
    return [(name, Texts(name, language)["title"]) for name in PAGES]
