"""Many picture files at once: decoded by all cores into one array, the broken ones named and left out."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from rich.console import Console

from plusx.console import counting
from plusx.data.picture import open_picture, read_picture
from plusx.data.records import Images
from plusx.errors import UserError

SIZES = (32, 48, 64, 96, 128, 160, 192, 224)


def decode(paths: Sequence[Path], size: int, console: Console) -> tuple[Images, dict[Path, str]]:
    """Read every picture as size × size pixels (see `read_picture`), on all cores: Pillow frees the lock.

    Args:
        paths: the files.
        size: side of the squares, in pixels.
        console: shows how far it is.

    Returns:
        The pictures that could be read, uint8 (N, size, size, 3), in the order of the paths; and for each
        other path the reason.

    Raises:
        UserError: if so many pictures of this size don't fit into half of the machine's memory.
    """
    refuse_too_many(len(paths), size, "or train from shards: plusx data pack FOLDER SHARDS")
    images = np.empty((len(paths), size, size, 3), np.uint8)
    faults: dict[Path, str] = {}

    def read(number: int) -> None:
        try:
            images[number] = read_picture(paths[number], size)
        except UserError as error:  # the others go on without it
            faults[paths[number]] = fault_of(error, str(paths[number]))

    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        counting(console, f"reading pictures as {size}×{size}", len(paths)) as show,
    ):
        for done, _ in enumerate(pool.map(read, range(len(paths))), start=1):
            show(done)
    whole = np.array([path not in faults for path in paths], dtype=bool)
    return (images if whole.all() else images[whole]), {p: faults[p] for p in paths if p in faults}


def refuse_too_many(count: int, size: int, otherwise: str) -> None:
    """Make sure that so many pictures fit into half of the machine's memory.

    Raises:
        UserError: if they don't; says to choose a smaller size, `otherwise`.
    """
    needed, memory = count * size * size * 3, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory / 2:
        raise UserError(
            f"{count:,} pictures of {size}×{size} pixels take {needed / 2**30:.0f} GiB, more than half "
            f"of this machine's memory; choose a smaller size: --set data.size={size // 2}, {otherwise}"
        )


def fault_of(error: UserError, name: str) -> str:
    """Why the picture `name` could not be read, in a few words without its name."""
    return str(error).removeprefix(name).strip(" :")


def digests(images: Images) -> list[str]:
    """A digest of each picture's pixels, which finds copies whatever their file's name and format."""
    return [hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest() for image in images]


def sizes_of(files: Sequence[Path | BytesIO]) -> list[tuple[int, int]]:
    """(Width, height) in pixels of those pictures whose header can be read; nothing is decoded."""
    sizes = []
    for file in files:
        try:
            with open_picture(file) as picture:
                sizes.append(picture.size)
        except Exception:  # `decode` reports what is wrong with it
            continue
    return sizes


def fitting_size(sizes: Sequence[tuple[int, int]], largest: int) -> int:
    """The largest usual input size, at most `largest`, that the shorter sides of half of the pictures reach.

    >>> fitting_size([(32, 32)], 64), fitting_size([(640, 480), (333, 500)], 64), fitting_size([(20, 30)], 64)
    (32, 64, 32)
    """
    median = float(np.median([min(size) for size in sizes])) if sizes else SIZES[0]
    return max([size for size in SIZES if size <= min(median, largest)], default=SIZES[0])
