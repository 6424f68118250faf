"""Arrays as pictures: PNG in an address of its own, drawn without matplotlib, in a millisecond."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plusx.report.html import picture_uri

NEGATIVE, ZERO, POSITIVE = (0xB3, 0x47, 0x00), (0xFF, 0xFF, 0xFF), (0x00, 0x5A, 0x96)
"""Orange below zero, white, blue above: told apart by all kinds of colour vision."""


def _palette() -> list[int]:
    """256 colours from NEGATIVE over ZERO (at 128) to POSITIVE."""
    levels = np.clip((np.arange(256) - 128) / 127, -1, 1)[:, None]
    zero = np.array(ZERO)
    ends = np.where(levels < 0, np.array(NEGATIVE), np.array(POSITIVE))
    colours: list[int] = (zero + (ends - zero) * np.abs(levels)).round().astype(int).ravel().tolist()
    return colours


PALETTE = _palette()


def photo(picture: NDArray[np.uint8] | Image.Image) -> str:
    """uint8 (H, W, 3) or (H, W), or a picture of Pillow's, as it is."""
    return picture_uri(picture, compress_level=1)


def grey(values: NDArray[np.floating], low: float = 0.0, high: float = 1.0) -> str:
    """(H, W) from black (`low`) to white (`high`)."""
    scaled = (np.asarray(values, np.float32) - low) / max(high - low, 1e-12)
    return photo((scaled.clip(0, 1) * 255).round().astype(np.uint8))


def signed(values: NDArray[np.floating], largest: float | None = None) -> str:
    """(H, W) in orange below zero, white at zero, blue above; full colour at ±`largest`.

    >>> signed(np.zeros((2, 2))).startswith("data:image/png;base64,")
    True
    """
    array = np.asarray(values, np.float32)
    largest = float(np.abs(array).max()) if largest is None else largest
    levels = (128 + 127 * (array / max(largest, 1e-12)).clip(-1, 1)).round().astype(np.uint8)
    image = Image.fromarray(levels)
    image.putpalette(PALETTE)
    return photo(image)


def tint(value: float, largest: float) -> str:
    """The colour of one number on the scale of `signed`, as CSS takes it.

    >>> tint(0, 1), tint(1, 1)
    ('#ffffff', '#005a96')
    """
    level = round(128 + 127 * max(-1.0, min(1.0, value / max(largest, 1e-12))))
    return "#" + "".join(f"{part:02x}" for part in PALETTE[3 * level : 3 * level + 3])


def ink(value: float, largest: float) -> str:
    """Black or white, whichever is read more easily on `tint`."""
    return "#ffffff" if abs(value) > 0.6 * largest > 0 else "#1c2430"
