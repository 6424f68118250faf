"""Any picture file as the small square array that a network takes."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from plusx.data.records import Images
from plusx.errors import UserError

MOST_PIXELS = 100_000_000


def read_picture(path: Path | str, size: int) -> Images:
    """Read a picture of any size and format that Pillow knows, cut out its central square and reduce it.

    Turned upright by its EXIF orientation; grey, palette and CMYK become RGB, 16 bits become 8, transparent
    parts white.

    Args:
        path: the file.
        size: side of the result, in pixels.

    Returns:
        uint8 (size, size, 3).

    Raises:
        UserError: if the file is missing, is no picture, or has more than 100 million pixels.

    >>> read_picture("no/such/cat.png", 32)
    Traceback (most recent call last):
    ...
    plusx.errors.UserError: there is no picture no/such/cat.png
    """
    return _read(path, size, str(path))


def decode_picture(content: bytes, size: int, name: str) -> Images:
    """Like `read_picture`, from the bytes of a file; errors call it by `name`."""
    return _read(io.BytesIO(content), size, name)


def _read(source: Path | str | io.BytesIO, size: int, name: str) -> Images:
    try:
        with Image.open(source) as file:
            if file.width * file.height > MOST_PIXELS:
                raise Image.DecompressionBombError(f"{file.width}×{file.height} pixels")
            file.draft("RGB", (4 * size, 4 * size))  # a large JPEG is decoded at 1/2, 1/4 or 1/8: much faster
            return square(file, size)
    except FileNotFoundError:
        raise UserError(f"there is no picture {name}") from None
    except IsADirectoryError:
        raise UserError(f"{name} is a directory; give picture files") from None
    except Image.DecompressionBombError as error:
        raise UserError(f"{name} is too big a picture: {error}") from error
    except (OSError, ValueError, SyntaxError) as error:  # each of Pillow's formats fails in its own way
        reason = getattr(error, "strerror", None) or "not a format that Pillow knows, or damaged"
        raise UserError(f"{name} can't be read as a picture: {reason}") from error


def square(picture: Image.Image, size: int) -> Images:
    """The central square of an opened picture, as `read_picture` makes it: uint8 (size, size, 3).

    >>> square(Image.new("L", (7, 5), 9), 2)[0, 0].tolist()
    [9, 9, 9]
    """
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I"):  # Pillow itself would cut 16-bit grey off at 255
        grey = np.asarray(upright).astype(np.int64) >> 8
        upright = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
    fitted = ImageOps.fit(upright.convert("RGB"), (size, size), Image.Resampling.BICUBIC)
    return np.asarray(fitted, dtype=np.uint8)
