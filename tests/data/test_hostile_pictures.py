"""Pictures from strangers: read, or refused in a line; never waited for, never obeyed, in little memory."""

import contextlib
import io
import os
import shutil
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from plusx.data import load_folder, read_picture, sample
from plusx.data.folder import list_folder
from plusx.data.picture import FORMATS
from plusx.errors import UserError

IMAGES = sample("train")[0]
SIDE = 3300  # so many pixels are a large picture


def fill(root: Path) -> Path:
    for number, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(IMAGES[100 * number + i]).save(root / name / f"{i}.png")
    return root


def refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_picture(path, 32)
    return str(error.value).removeprefix(str(path))


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_of_32_bits_are_refused(tmp_path: Path, mode: str) -> None:
    root = fill(tmp_path / "pets")
    Image.new(mode, (8, 8), 1).save(root / "cat" / "deep.tiff")  # 1 is white, or nearly black: it isn't said
    assert refused(root / "cat" / "deep.tiff").startswith(" can't be read as a picture: pixels of 32 bits")
    assert [*load_folder(root).record["skipped"]] == ["cat/deep.tiff"]


def chunk(kind: bytes, content: bytes, claims: int | None = None) -> bytes:
    length = len(content) if claims is None else claims
    return struct.pack(">I", length) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*chunks: bytes, width: int = 8, height: int = 8) -> bytes:
    """A grey PNG with more chunks before its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(height * (width + 1)) if width < 1000 else b""))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def tiff(count: int, tag: int = 273) -> bytes:
    """A TIFF of 1×`count` pixels in so many strips, all in the same place."""
    entries = [(256, 4, 1, 1), (257, 4, 1, count), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    entries += [(tag, 4, count, 200), (278, 4, 1, 1), (279, 4, count, 200)]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)
    return head.ljust(200, b"\0") + bytes(4 * count)


def bmp(side: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, side, side, 1, 24, 0, 0, 1, 1, 0, 0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (png(width=2**31 - 1, height=2**31 - 1), "too big a picture"),
        (png(width=60_000, height=60_000), "too big a picture: .* pixels"),
        (png(width=0, height=8), "can't be read as a picture"),
        (png(chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**26)))), "can't be read as a picture"),
        (png(chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(2**26)))), "can't be read as a picture"),
        (png(chunk(b"iTXt", b"x\0\1\0\0\0" + zlib.compress(bytes(2**26)))), "can't be read as a picture"),
        (png(chunk(b"tEXt", b"", claims=2**31 - 1)), "can't be read as a picture"),
        (png(chunk(b"eXIf", tiff(60_000))), None),
        (tiff(200_000), "can't be read as a picture"),
        (tiff(200_000, tag=324), "can't be read as a picture"),
        (b"II+\0" + bytes(100), "can't be read as a picture"),
        (b"P5 99999 99999 255\n" + bytes(100), "too big a picture"),
        (bmp(99_999), "too big a picture"),
    ],
    ids=range(13),
)
def test_a_small_file_never_takes_much_memory(tmp_path, memory_below, content, says) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with memory_below(2**27):
        if says:
            with pytest.raises(UserError, match=says):
                read_picture(tmp_path / "a.png", 32)
        else:
            assert read_picture(tmp_path / "a.png", 32).shape == (32, 32, 3)


READ_TWO_AT_A_TIME = """
import re, sys, threading
from pathlib import Path
from plusx.data import read_picture

def status(field):
    return 1024 * int(re.search(field + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = status("VmRSS")
readers = [threading.Thread(target=read_picture, args=(path, 32)) for path in sys.argv[1:]]
for reader in readers:
    reader.start()
for reader in readers:
    reader.join()
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="only Linux tells the peak of a process")
def test_large_pictures_take_25_bytes_a_pixel_and_one_comes_after_the_other(tmp_path) -> None:
    for kind in ("webp", "png"):
        Image.new("RGBA", (SIDE, SIDE)).save(tmp_path / f"a.{kind}")
        shutil.copy(tmp_path / f"a.{kind}", tmp_path / f"b.{kind}")
    # In a process of its own: a training in this one tells the allocator to keep what each thread had.
    command = [sys.executable, "-c", READ_TWO_AT_A_TIME, *map(str, tmp_path.iterdir())]
    taken = subprocess.run(command, check=True, capture_output=True, text=True, timeout=200).stdout
    assert 4 * SIDE**2 < int(taken) < 25 * SIDE**2


def test_a_sparse_file_is_refused_by_its_size(tmp_path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.write(png()[:33] + struct.pack(">I", 2**31 - 1) + b"eXIf")
        file.truncate(2**31)
    assert "2,048 MiB, at most 512 are read" in refused(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tiff", "avif"])
def test_of_an_animation_the_first_frame_is_read(tmp_path, kind) -> None:
    first, other = Image.new("RGB", (32, 32), (200, 0, 0)), Image.new("RGB", (32, 32), (0, 0, 200))
    first.save(tmp_path / f"a.{kind}", save_all=True, append_images=[other] * 50)
    red, _, blue = read_picture(tmp_path / f"a.{kind}", 32)[16, 16].astype(int)
    assert red > 180
    assert blue < 20


def test_the_content_counts_and_not_the_extension(tmp_path) -> None:
    Image.fromarray(IMAGES[0]).save(tmp_path / "a", "PNG")
    for name in ("a.jpg", "a.txt", "a.eps", "a"):
        os.rename(next(tmp_path.iterdir()), tmp_path / name)
        np.testing.assert_array_equal(read_picture(tmp_path / name, 32), IMAGES[0])


def test_no_format_calls_another_program(tmp_path, monkeypatch) -> None:
    called = tmp_path / "called"
    for name in ("gs", "gswin64c", "djpeg"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {called}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    Image.new("RGB", (32, 32)).save(tmp_path / "a.eps")
    with Image.open(tmp_path / "a.eps") as eps, pytest.raises(OSError, match=r"."):
        eps.load()
    assert called.exists()  # so Pillow would, if it were let
    called.unlink()
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    assert "none of AVIF, BMP, GIF" in refused(tmp_path / "a.png")
    assert not called.exists()


def test_every_format_that_is_named_is_read(tmp_path) -> None:
    for name in FORMATS:
        Image.fromarray(IMAGES[0]).save(tmp_path / "a", name)
        assert np.abs(read_picture(tmp_path / "a", 32).astype(int) - IMAGES[0]).mean() < 10


@pytest.mark.timeout(60)
def test_pipes_sockets_devices_and_links_without_end_are_passed_over(tmp_path) -> None:
    root = fill(tmp_path / "pets")
    os.mkfifo(root / "cat" / "pipe.png")
    address = socket.socket(socket.AF_UNIX)
    address.bind(str(root / "cat" / "socket.png"))
    (root / "cat" / "loop.png").symlink_to("loop.png")
    (root / "cat" / "gone.png").symlink_to("nowhere.png")
    (root / "cat" / "up").symlink_to("..")
    (root / "all").symlink_to(".")
    (root / "dog" / "zero.png").symlink_to("/dev/zero")
    (root / "dog" / "own.png").symlink_to("/proc/self/mem")
    data = load_folder(root)
    address.close()
    skipped = data.record["skipped"]
    assert {name: reason for name, reason in skipped.items() if not name.startswith("all/")} == {
        "cat/pipe.png": "can't be read as a picture: a pipe, a socket or a device",
        "cat/socket.png": "can't be read as a picture: a pipe, a socket or a device",
        "cat/loop.png": "can't be read as a picture: Too many levels of symbolic links",
        "cat/gone.png": f"there is no picture {root / 'cat' / 'gone.png'}",
        "cat/up": "is a directory; give picture files",
        "dog/zero.png": "a link that leads out of the folder",
        "dog/own.png": "a link that leads out of the folder",
    }
    for path in (root / "cat" / "pipe.png", Path("/dev/zero"), Path("/dev/null")):
        assert "a pipe, a socket or a device" in refused(path)


def test_split_folders_that_lead_out_are_not_followed(tmp_path) -> None:
    private = fill(tmp_path / "private")
    root = tmp_path / "pets"
    root.mkdir()
    (root / "train").symlink_to(private)
    (root / "test").symlink_to(private)
    with pytest.raises(UserError, match=r"test leads out of it and is not followed"):
        list_folder(root)


def test_folders_nested_a_thousand_deep_are_read(tmp_path) -> None:
    root = fill(tmp_path / "pets")
    deep = root / "cat"
    for _ in range(1000):
        deep /= "d"
        deep.mkdir()
    Image.fromarray(IMAGES[7]).save(deep / "a.png")
    assert len(list_folder(root).files) == 7
    subprocess.run(["rm", "-r", root / "cat"], check=True)  # too deep for Python's own way


def test_a_file_that_may_not_be_read_is_skipped(open_folder, read_only) -> None:
    root = fill(open_folder / "pets")
    (root / "cat" / "0.png").chmod(0)
    read_only(root)
    assert load_folder(root).record["skipped"] == {
        "cat/0.png": "can't be read as a picture: Permission denied"
    }


@pytest.mark.parametrize("name", ["\x1b[2Jcat", "a\nb", "\u202egod", "\udcff", "\x9b31m"])
def test_a_class_needs_a_name_that_can_be_shown(tmp_path, name) -> None:
    root = fill(tmp_path / "pets")
    (root / "dog").rename(root / name)
    with pytest.raises(UserError, match="can't be the name of a class; rename that folder") as error:
        load_folder(root)
    assert repr(name) in str(error.value)


KINDS = [kind for kind in FORMATS if kind != "AVIF"]


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    info = PngImagePlugin.PngInfo()
    info.add_text("a", "b" * 50, zip=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"PNG": {"pnginfo": info, "exif": exif}, "JPEG": {"exif": exif}}.get(kind, {})
    Image.fromarray(IMAGES[3]).save(file, kind, **options)
    return file.getvalue()


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    places=st.lists(st.tuples(st.integers(0, 2**16), st.binary(min_size=1, max_size=8)), max_size=4),
    cut=st.floats(0.0, 1.0),
)
def test_damage_anywhere_is_a_line_or_a_picture(tmp_path_factory, kind, places, cut) -> None:
    content = bytearray(encoded(kind))
    for place, change in places:
        start = place % len(content)
        content[start : start + len(change)] = change
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: round(cut * len(content))])
    with contextlib.suppress(UserError):
        assert read_picture(path, 32).shape == (32, 32, 3)
