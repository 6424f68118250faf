"""What a page of the site leaves out: its language line, and the line breaks within a Chinese sentence."""

import re

from sphinx.application import Sphinx

LANGUAGE_LINE = re.compile(r"^(English · \[中文\]\(.+\)|\[English\]\(.+\) · 中文)$", re.MULTILINE)
BREAK = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef])\n(?=[\u3000-\u9fff\uff00-\uffef])")


def adapt(app: Sphinx, docname: str, source: list[str]) -> None:
    """Drop the language line, since the sidebar switches; join Chinese lines without a space."""
    source[0] = BREAK.sub("", LANGUAGE_LINE.sub("", source[0], count=1))


def setup(app: Sphinx) -> dict[str, bool]:
    """Hook in before a page is read."""
    app.connect("source-read", adapt)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
