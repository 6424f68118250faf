"""Reads any picture file the way a network wants it: RGB, upright, square, of the size it was trained on."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from plusx.data.records import Images
from plusx.errors import UserError


def read_picture(path: Path | str, size: int) -> Images:
    """Return the middle square of a picture file, scaled to uint8 (size, size, 3).

    The camera's orientation is obeyed, transparency lies on white, and 16-bit grey is scaled to 8. Raises
    `UserError`, naming the file, if it is missing or not a picture.

    >>> read_picture("no/such/cat.png", 32)
    Traceback (most recent call last):
    ...
    plusx.errors.UserError: no/such/cat.png: no such picture
    """
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)
            if picture.mode.startswith("I"):
                grey = np.asarray(picture).astype(np.int64) >> 8
                picture = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
            if picture.has_transparency_data:
                above = picture.convert("RGBA")
                picture = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above)
            square = ImageOps.fit(picture.convert("RGB"), (size, size), Image.Resampling.BICUBIC)
    except FileNotFoundError:
        raise UserError(f"{path}: no such picture") from None
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: too big a picture ({error})") from error
    except (
        OSError,
        SyntaxError,
        ValueError,
    ) as error:  # Pillow has a plugin for each format, and each its ways
        reason = getattr(error, "strerror", None) or "Pillow can't read it as a picture"
        raise UserError(f"{path}: {reason}") from error
    return np.asarray(square)
