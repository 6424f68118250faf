"""Uploads: what is taken, what is refused, and how much is kept."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from plusx.app.forms import FieldError
from plusx.app.pictures import MOST_BYTES, SHOWN, Shelf, thumbnail
from plusx.data import CLASSES, read_picture, sample


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is huge."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("size", [32, 224])
def test_an_upload_is_read_like_a_file(kind: str, size: int, tmp_path: object) -> None:
    content = encoded(noise(300, 200), kind)
    path = f"{tmp_path}/picture.{kind.lower()}"
    with open(path, "wb") as file:
        file.write(content)
    shelf = Shelf()
    np.testing.assert_array_equal(shelf.pixels(shelf.put(content), size), read_picture(path, size))


def test_a_tiny_picture_and_one_with_a_palette_can_be_used() -> None:
    shelf = Shelf()
    assert shelf.pixels(shelf.put(encoded(Image.new("RGB", (1, 1), "red"))), 8)[3, 3].tolist() == [255, 0, 0]
    transparent = Image.new("RGBA", (5, 7), (0, 0, 0, 0))
    assert shelf.pixels(shelf.put(encoded(transparent)), 8).min() == 255  # white shows through


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"", "upload_no_picture"),
        (b"<svg onload=alert(1)>", "upload_no_picture"),
        (encoded(noise(20, 20))[:300], "upload_no_picture"),
        (encoded(noise(20, 20), "TIFF"), "upload_no_picture"),
        (bomb(200, 200), "upload_no_picture"),
        (bomb(100_000, 100_000), "upload_no_picture"),  # Pillow's own limit is reached first
        (bomb(6000, 6000), "upload_too_many_pixels"),
        (b"\0" * (MOST_BYTES + 1), "upload_too_big"),
    ],
)
def test_hostile_files_get_a_message(content: bytes, key: str) -> None:
    with pytest.raises(FieldError) as caught:
        Shelf().put(content)
    assert (caught.value.field, caught.value.key) == ("picture", key)


def test_the_oldest_make_room() -> None:
    content = encoded(noise(40, 40))
    shelf = Shelf(most_bytes=2 * len(content))
    names = [shelf.put(content) for _ in range(3)]
    with pytest.raises(FieldError, match="upload_gone"):
        shelf.pixels(names[0], 16)
    assert shelf.pixels(names[2], 16).shape == (16, 16, 3)


def test_names_lead_to_no_files() -> None:
    for name in ("../../pyproject.toml", "/etc/passwd", "", "cat.png"):
        with pytest.raises(FieldError):
            Shelf().pixels(name, 16)


def test_the_shown_pictures_are_of_their_classes() -> None:
    images, labels = sample("test")
    for name, index in SHOWN.items():
        assert CLASSES[labels[index]] == name
        np.testing.assert_array_equal(Image.open(io.BytesIO(thumbnail(name))), images[index])
        np.testing.assert_array_equal(Shelf().pixels(name, 32), images[index])
