"""Any picture file as the small square array that a network takes."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from plusx.data.records import Images
from plusx.errors import UserError


def read_picture(path: Path, size: int) -> Images:
    """Read a picture of any size and format that Pillow knows, cut out its central square and reduce it.

    Turned upright by its EXIF orientation; grey, palette and CMYK become RGB, transparent parts white.

    Args:
        path: the file.
        size: side of the result, in pixels.

    Returns:
        uint8 (size, size, 3).

    Raises:
        UserError: if the file is missing or is no picture.
    """
    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file)
            if "A" in upright.getbands() or "transparency" in upright.info:
                upright = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
            square = ImageOps.fit(upright.convert("RGB"), (size, size), Image.Resampling.BICUBIC)
            return np.asarray(square, dtype=np.uint8)
    except FileNotFoundError:
        raise UserError(f"there is no picture {path}") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a directory; give picture files") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is no picture that can be read: {error}") from error
