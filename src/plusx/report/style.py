"""One look for all figures: calm, colour-blind safe, a light and a dark version."""

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from rich.console import Console

from plusx.console import say

DPI = 200
WIDTH = 6.8
"""Inches: 1360 pixels, twice what a README column shows, so that it stays sharp on fine screens."""

# DejaVu comes with matplotlib; the others, where installed, draw Chinese, Japanese and Korean class names.
_FONTS = (
    *("DejaVu Sans", "Noto Sans CJK SC", "PingFang SC", "Heiti TC", "Microsoft YaHei", "SimHei"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
)
# Some of them have no bold face, which matplotlib remarks on even where they draw nothing.
logging.getLogger("matplotlib.font_manager").addFilter(lambda record: "font weight" not in record.msg)
_MISSING = r"Glyph \d+ .*missing from font"


@dataclass(frozen=True)
class Theme:
    """Colours by purpose, the lines from Okabe and Ito's palette for all kinds of colour vision."""

    name: str
    paper: str
    ink: str
    muted: str
    grid: str
    test: str
    train: str
    validation: str
    others: tuple[str, ...]
    """Where there are more lines than three."""

    @property
    def series(self) -> tuple[str, ...]:
        """The colours of lines that are alike, in the order in which they are taken."""
        return (self.test, self.train, self.validation, *self.others)


LIGHT = Theme(
    *("light", "#ffffff", "#1c2430", "#5a6675", "#e3e7ec", "#0072b2", "#b34700", "#00795a"),
    others=("#9c3d77", "#7a6400", "#5a6675"),
)
DARK = Theme(
    *("dark", "#14181e", "#e8ecf1", "#a3aebb", "#2c343e", "#56b4e9", "#f0a04b", "#3ccf9f"),
    others=("#e39bc4", "#e6d34d", "#a3aebb"),
)


@contextmanager
def applied(theme: Theme) -> Iterator[None]:
    """Draw with `theme` inside the block; matplotlib's settings are as before after it.

    Where no font has a character of a name, one line on standard error says so.

    >>> before = mpl.rcParams["text.color"]
    >>> with applied(DARK):
    ...     mpl.rcParams["text.color"]
    '#e8ecf1'
    >>> mpl.rcParams["text.color"] == before
    True
    """
    installed = set(font_manager.fontManager.get_font_names())
    settings: dict[Any, Any] = {
        "font.family": [font for font in _FONTS if font in installed],
        "font.size": 9.5,
        # A class may be called "$x$"; it is a name, not a formula.
        "text.parse_math": False,
        "text.color": theme.ink,
        "figure.facecolor": theme.paper,
        "savefig.facecolor": theme.paper,
        "axes.facecolor": theme.paper,
        "axes.edgecolor": theme.grid,
        "axes.labelcolor": theme.muted,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": theme.grid,
        "xtick.color": theme.grid,
        "ytick.color": theme.grid,
        "xtick.labelcolor": theme.muted,
        "ytick.labelcolor": theme.muted,
        "lines.linewidth": 2.0,
        "lines.markersize": 4.5,
        "lines.solid_capstyle": "round",
    }
    with mpl.rc_context(settings), warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", _MISSING)  # a line for each character, each time
        yield
    for warning in caught:
        if re.match(_MISSING, str(warning.message)):
            _say_that_fonts_are_missing()
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


@cache
def _say_that_fonts_are_missing() -> None:
    """Once a process."""
    say(
        Console(stderr=True),
        "note: no font here has some characters of these names, and pictures show boxes for them; "
        "for Chinese install one (on Debian and Ubuntu: fonts-noto-cjk) and remove the list of fonts that "
        f"matplotlib keeps in {mpl.get_cachedir()}",
    )


def padded() -> ConstrainedLayoutEngine:
    """Axes and their names fill the figure, with a margin of an eighth of an inch.

    >>> Figure(layout=padded()).get_layout_engine().get()["w_pad"]
    0.125
    """
    return ConstrainedLayoutEngine(w_pad=0.125, h_pad=0.125)


def to_png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG, without a date or versions, so that equal runs give equal files.

    >>> to_png(Figure(figsize=(1, 1)))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def shorten(text: str, width: int) -> str:
    """Cut `text` to `width` characters, the last one an ellipsis if something was cut.

    >>> shorten("automobile", 10), shorten("a very long name", 8)
    ('automobile', 'a very …')
    """
    return text if len(text) <= width else text[: width - 1] + "…"
