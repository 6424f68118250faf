"""What pages are made with: templates, figures for readers, and pictures that a page holds in itself."""

import base64
import io
from functools import cache
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from PIL import Image

import plusx
from plusx import text
from plusx.text import visible


@cache
def environment(*rooms: str) -> Environment:
    """Jinja for the templates of these rooms: texts are escaped, and what a template lacks is an error.

    Characters that would act instead of being seen are escapes, as on the screen.
    """
    made = Environment(
        loader=ChoiceLoader([PackageLoader(room) for room in rooms]),
        autoescape=True,
        finalize=lambda value: visible(value) if type(value) is str else value,  # no Markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"percent": percent, "count": count, "duration": duration, "mebibytes": mebibytes}
    made.filters |= {"setting": text.setting}
    return made


def fill(template: str, *rooms: str, **values: Any) -> str:
    """Fill a template of these rooms, or of this one if none is named."""
    jinja = environment(*(rooms or ("plusx.report",)))
    return jinja.get_template(template).render(version=plusx.__version__, **values)


def percent(share: float | None, digits: int = 2) -> str:
    """As `plusx.text.percent`, with a space at which no line ends.

    >>> percent(0.9341), percent(None)
    ('93.41\\xa0%', '–')
    """
    return text.percent(share, digits).replace(" ", "\u00a0")


def count(number: float) -> str:
    """A whole number with narrow spaces between thousands.

    >>> count(11173962)
    '11\\u202f173\\u202f962'
    """
    return f"{number:,.0f}".replace(",", "\u202f")


def duration(seconds: float | None) -> str:
    """Seconds for a reader, a dash for none.

    >>> duration(41.23), duration(418), duration(7384), duration(None)
    ('41.2\\xa0s', '6\\xa0min 58\\xa0s', '2\\xa0h 3\\xa0min', '–')
    """
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min {rest}\u00a0s"
    return f"{minutes // 60}\u00a0h {minutes % 60}\u00a0min"


def mebibytes(size: float | None) -> str:
    """Bytes in MiB, a dash for none.

    >>> mebibytes(1 << 30)
    '1\\u202f024\\xa0MiB'
    """
    return "–" if size is None else f"{count(size / 2**20)}\u00a0MiB"


def data_uri(png: bytes) -> str:
    """A picture as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def picture_uri(picture: np.ndarray | Image.Image, compress_level: int = 6) -> str:
    """An array, uint8 (H, W), (H, W, 3) or (H, W, 4), or a picture of Pillow's as such an address.

    Args:
        picture: what to show.
        compress_level: 0 … 9, as Pillow has it: the higher, the smaller and the slower.

    >>> picture_uri(np.zeros((2, 2, 3), np.uint8)).startswith("data:image/png;base64,")
    True
    """
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=compress_level)
    return data_uri(file.getvalue())
