"""Any picture file as the small square array that a network takes; files are taken for hostile."""

import errno
import io
import os
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from plusx.data.records import Images
from plusx.errors import UserError

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is read. Pillow knows more, some by calling another program or by code that hardly anyone uses."""
MOST_PIXELS = 100_000_000
MOST_BYTES = 2**29
MOST_STRIPS = 100_000  # of a TIFF; Pillow makes an object of each
LARGE_PIXELS, LARGE_BYTES = 10_000_000, 2**24

_one_large = threading.RLock()  # unpacking takes up to 25 bytes a pixel, 2.5 GB for the largest


def read_picture(path: Path | str, size: int) -> Images:
    """Read a picture of any size in one of `FORMATS`, cut out its central square and reduce it.

    Turned upright by its EXIF orientation; grey, palette and CMYK become RGB, 16 bits become 8, transparent
    parts white; of several frames the first.

    Args:
        path: the file; its content counts, not its extension.
        size: side of the result, in pixels.

    Returns:
        uint8 (size, size, 3).

    Raises:
        UserError: if the file is missing, is no picture, or has more than 100 million pixels or 512 MiB.

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
        with open_picture(source) as picture:
            # A large JPEG is decoded at 1/2, 1/4 or 1/8: much faster.
            picture.draft("RGB", (4 * size, 4 * size))
            return square(picture, size)
    except FileNotFoundError:
        raise UserError(f"there is no picture {name}") from None
    except IsADirectoryError:
        raise UserError(f"{name} is a directory; give picture files") from None
    except Image.DecompressionBombError as error:
        raise UserError(f"{name} is too big a picture: {error}") from error
    except Exception as error:  # each decoder fails in its own way at a damaged file
        raise UserError(f"{name} can't be read as a picture: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """Why a file could not be read, as the system says it, or that it is no whole picture of ours.

    >>> reason_of(PermissionError(13, "Permission denied")), reason_of(SyntaxError("broken PNG file"))[:7]
    ('Permission denied', 'damaged')
    """
    return getattr(error, "strerror", None) or f"damaged, or none of {', '.join(FORMATS)}"


@contextmanager
def open_picture(source: Path | str | io.BytesIO) -> Iterator[Image.Image]:
    """Open a picture and read its header, with all that must be checked before anything is unpacked.

    Raises:
        OSError: if there is no such file, or it is a directory, a pipe (which would be waited for without
            end), a socket or a device; for floats and grey of 32 bits, whose range is anyone's guess.
        DecompressionBombError: if it has more bytes or pixels than are read.
        Exception: of any kind, from Pillow, for a damaged file.
    """
    length = len(source.getbuffer()) if isinstance(source, io.BytesIO) else _regular(source)
    if length > MOST_BYTES:
        raise Image.DecompressionBombError(f"{length / 2**20:,.0f} MiB, at most 512 are read")
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]
    with ExitStack() as stack:
        if length > LARGE_BYTES:
            stack.enter_context(_one_large)
        file = source if isinstance(source, io.BytesIO) else stack.enter_context(open(source, "rb"))
        _refuse_strips(file)
        with Image.open(file, formats=known) as picture:
            pixels = picture.width * picture.height
            if pixels > MOST_PIXELS:
                claimed = f"{picture.width}×{picture.height} pixels"
                raise Image.DecompressionBombError(f"{claimed}, at most {MOST_PIXELS:,} are read")
            if picture.mode == "F" or (picture.mode == "I" and picture.format == "TIFF"):
                what = "pixels of 32 bits, which don't say how bright white is"
                raise OSError(errno.EINVAL, what)
            # A JPEG is reduced as it is unpacked.
            large = pixels > LARGE_PIXELS and picture.format not in ("JPEG", "MPO")
            with _one_large if large else nullcontext(), closing(picture):
                yield picture


def _regular(path: Path | str) -> int:
    """The length of a file in bytes."""
    about = os.stat(path)
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "a pipe, a socket or a device", str(path))
    return about.st_size


def _refuse_strips(file: IO[bytes]) -> None:
    """Raise `ValueError` for a TIFF in more strips or tiles than any needs, and for the kind over 4 GiB."""
    magic = file.read(4)
    if magic in (b"II*\0", b"MM\0*"):
        order = "<" if magic.startswith(b"I") else ">"
        file.seek(*struct.unpack(f"{order}L", file.read(4)))
        (count,) = struct.unpack(f"{order}H", file.read(2))
        entries = (struct.unpack(f"{order}HHLL", file.read(12)) for _ in range(count))
        if any(tag in (273, 324) and values > MOST_STRIPS for tag, _, values, _ in entries):
            raise ValueError("too many strips")
    elif magic in (b"II+\0", b"MM\0+"):
        raise ValueError("BigTIFF")
    file.seek(0)


def square(picture: Image.Image, size: int) -> Images:
    """The central square of an opened picture, as `read_picture` makes it: uint8 (size, size, 3).

    >>> square(Image.new("L", (7, 5), 9), 2)[0, 0].tolist()
    [9, 9, 9]
    """
    if picture.getexif().get(0x0112, 1) != 1:  # Pillow would copy an upright picture too
        picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # Pillow itself would cut 16-bit grey off at 255
        deep = np.asarray(picture)
        grey = (deep >> 8).clip(0, 255).astype(np.uint8)
        grey[deep == picture.info.get("transparency", -1)] = 255  # the one grey that is transparent, if any
        picture = Image.fromarray(grey)
    if picture.has_transparency_data:
        picture = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    fitted = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(fitted, dtype=np.uint8)
