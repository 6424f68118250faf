"""The pictures on the pages: ten of the sample, and what was uploaded, kept in memory in bounds."""

import io
import secrets
import threading
from collections import OrderedDict
from functools import cache

import torch
from PIL import Image
from torch import Tensor

from plusx.app.forms import FieldError
from plusx.data import CLASSES, sample, square
from plusx.data.records import Images
from plusx.inference import normalise
from plusx.models import Card

MOST_BYTES = 8 * 2**20
MOST_PIXELS = 24_000_000
MOST_KEPT_BYTES = 64 * 2**20
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""Decoders that see daily use; the rarer ones are a hostile file's way in."""
LARGEST_SIDE = 224
SHOWN = dict(zip(CLASSES, (1, 36, 43, 78, 83, 105, 124, 155, 163, 182), strict=True))
"""Which of the sample's test pictures stands for each class."""


class Shelf:
    """The uploaded picture files, in memory; the oldest make room for the newest.

    >>> shelf = Shelf()
    >>> shelf.pixels("cat", 8).shape
    (8, 8, 3)
    >>> shelf.put(b"no picture")
    Traceback (most recent call last):
    ...
    plusx.app.forms.FieldError: picture: upload_no_picture
    """

    def __init__(self, most_bytes: int = MOST_KEPT_BYTES) -> None:
        """Nothing on it yet; holds files of at most so many bytes together."""
        self._most_bytes = most_bytes
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self._squares: OrderedDict[tuple[str, int], Images] = OrderedDict()
        self._lock = threading.Lock()
        self._decoding = threading.Lock()  # one picture at a time: bounds the memory for its pixels

    def put(self, content: bytes) -> str:
        """Keep a picture file that can be read; returns its name.

        Raises:
            FieldError: if it has too many bytes or pixels, or is no picture that can be read.
        """
        if len(content) > MOST_BYTES:
            raise FieldError("picture", "upload_too_big", most=MOST_BYTES // 2**20)
        name = secrets.token_urlsafe(9)
        self._keep((name, LARGEST_SIDE), self._decoded(content, LARGEST_SIDE))
        with self._lock:
            self._files[name] = content
            while sum(map(len, self._files.values())) > self._most_bytes:
                self._files.popitem(last=False)
        return name

    def pixels(self, name: str, size: int) -> Images:
        """The central square of a picture as `plusx.data.read_picture` makes it: uint8 (size, size, 3).

        Args:
            name: a class name for the sample's picture of it, or what `put` returned.
            size: side, in pixels.

        Raises:
            FieldError: if it was never uploaded, or made room for newer ones.
        """
        with self._lock:
            if (name, size) in self._squares:
                return self._squares[name, size]
            content = self._files.get(name)
        if name in SHOWN:
            return square(Image.fromarray(sample_pictures()[SHOWN[name]]), size)
        if content is None:
            raise FieldError("picture", "upload_gone")
        return self._keep((name, size), self._decoded(content, size))

    def input(self, name: str, card: Card) -> Tensor:
        """The same as the network of that card takes it: float32 (1, 3, size, size), normalised."""
        pixels = self.pixels(name, card.input_size)
        return normalise(
            torch.from_numpy(pixels[None].copy()), torch.tensor(card.mean), torch.tensor(card.std)
        )

    def _keep(self, key: tuple[str, int], pixels: Images) -> Images:
        pixels.setflags(write=False)
        with self._lock:
            self._squares[key] = pixels
            while len(self._squares) > 100:
                self._squares.popitem(last=False)
        return pixels

    def _decoded(self, content: bytes, size: int) -> Images:
        with self._decoding:
            try:
                with Image.open(io.BytesIO(content), formats=FORMATS) as file:
                    if file.width * file.height > MOST_PIXELS:
                        raise FieldError("picture", "upload_too_many_pixels", most=MOST_PIXELS // 1_000_000)
                    file.draft("RGB", (4 * size, 4 * size))
                    return square(file, size)
            except FieldError:
                raise
            except Exception as error:  # a damaged or hostile file can make a decoder fail in any way
                raise FieldError("picture", "upload_no_picture") from error


@cache
def sample_pictures() -> Images:
    """The sample's test pictures (200, 32, 32, 3), sorted by class."""
    return sample("test")[0]


@cache
def thumbnail(name: str) -> bytes:
    """The sample's picture of a class, as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(sample_pictures()[SHOWN[name]]).save(buffer, "PNG")
    return buffer.getvalue()
