"""`plusx data pack`: a folder of pictures written as shards, the files' bytes unchanged."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from plusx.console import counting
from plusx.data.folder import Found, Listing, list_folder, splits_of
from plusx.data.picture import open_picture, reason_of
from plusx.data.shards.dataset import CLASSES, INDEX
from plusx.data.shards.index import BLOCK
from plusx.errors import UserError, optional

DIGITS = 6  # of the numbers in names


@dataclass(frozen=True)
class Packed:
    """What was written.

    Attributes:
        shards: for each split ("train", "validation", "test") the notation that names its shards.
        samples: for each split, how many pictures.
        skipped: the files that are no pictures, with the reason.
    """

    shards: dict[str, str]
    samples: dict[str, int]
    skipped: dict[Path, str]


def pack(
    root: Path,
    out: Path,
    *,
    shard_size: int = 256_000_000,
    test_share: float = 0.2,
    seed: int = 0,
    console: Console | None = None,
) -> Packed:
    """Write a folder of pictures, one folder a class, as shards; whole or not at all.

    The pictures are shuffled by the seed, so that each shard has some of every class. Their own `train`,
    `val` and `test` are kept; otherwise a share of each class becomes the test set, copies together.

    Args:
        root: the folder, see `plusx.data.folder`; only ever read.
        out: a directory that is not there yet.
        shard_size: largest size of a shard, in bytes.
        test_share: part of each class that is for testing, 0…1, where the folder is not split.
        seed: chooses those, and the order.
        console: shows progress; standard error unless given.

    Returns:
        What was written.

    Raises:
        UserError: if `out` or `out`.part exists, the folder has no pictures, or one is larger than a shard.
    """
    console = console or Console(stderr=True)
    if out.exists():
        raise UserError(f"{out} exists already; choose another place for the shards")
    partial = out.with_name(f"{out.name}.part")
    if partial.exists():
        raise UserError(f"{partial} exists, perhaps left by a stopped pack; remove it, or take another place")
    listing = list_folder(root)
    files, skipped = _pictures(listing, console)
    splits = splits_of(files, lambda: _digests(files), test_share, seed)
    partial.mkdir(parents=True)
    try:
        written = {
            split: _write(
                partial,
                split,
                [found for found, own in zip(files, splits, strict=True) if own == split],
                shard_size,
                seed,
                console,
            )
            for split in ("train", "validation", "test")
            if split in splits
        }
        (partial / CLASSES).write_text("".join(f"{name}\n" for name in listing.classes), encoding="utf-8")
        samples = {name: count for counts in written.values() for name, count in counts.items()}
        (partial / INDEX).write_text(json.dumps({"samples": samples}, indent=2) + "\n", encoding="utf-8")
        os.replace(partial, out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return Packed(
        {split: str(out / notation([*counts])) for split, counts in written.items()},
        {split: sum(counts.values()) for split, counts in written.items()},
        skipped,
    )


def _pictures(listing: Listing, console: Console) -> tuple[list[Found], dict[Path, str]]:
    """Those files that training can read, by their headers; nothing is decoded yet."""
    files, skipped = [], {}
    with counting(console, "looking at the files", len(listing.files)) as show:
        for done, found in enumerate(listing.files, start=1):
            try:
                with open_picture(found.path):
                    files.append(found)
            except Exception as error:  # each decoder fails in its own way at a damaged file
                skipped[found.path] = reason_of(error)
            show(done)
    if len({found.label for found in files}) < 2:
        path, reason = next(iter(skipped.items()))
        raise UserError(f"{listing.root}: fewer than two classes have pictures; {path}: {reason}")
    return files, skipped


def _digests(files: Sequence[Found]) -> list[str]:
    return [hashlib.blake2b(found.path.read_bytes(), digest_size=16).hexdigest() for found in files]


def _write(
    folder: Path, split: str, files: list[Found], shard_size: int, seed: int, console: Console
) -> dict[str, int]:
    """Write the shards of a split; returns how many samples each has."""
    webdataset = optional("webdataset", "shards")
    order = np.random.default_rng(seed).permutation(len(files))
    counts: dict[str, int] = {}
    with counting(console, f"writing {split} pictures", len(files)) as show:
        done = 0
        for number, chosen in enumerate(_filled([files[i] for i in order], shard_size)):
            name = f"{split}-{number:0{DIGITS}d}.tar"
            with open(folder / name, "wb") as file:
                # A fixed time makes the same folder give the same shards.
                with webdataset.TarWriter(file, encoder=False, mtime=0, user="", group="") as tar:
                    for found in chosen:
                        sample = {
                            "__key__": f"{done:0{DIGITS}d}",
                            _extension(found.path): found.path.read_bytes(),
                        }
                        tar.write(sample | {"cls": str(found.label).encode()})
                        done += 1
                        show(done)
                file.flush()
                os.fsync(file.fileno())
            counts[name] = len(chosen)
    return counts


def _filled(files: Sequence[Found], shard_size: int) -> Iterator[list[Found]]:
    """The files of one shard after another, as many as fit."""
    chosen: list[Found] = []
    total = end = 20 * BLOCK  # the end mark, rounded up to a whole record
    for found in files:
        # Two headers, the picture in whole blocks, and a block for the label.
        needed = 3 * BLOCK + -(-found.path.stat().st_size // BLOCK) * BLOCK
        if end + needed > shard_size:
            raise UserError(f"{found.path} alone is larger than a shard: --shard-size {end + needed}")
        if total + needed > shard_size:
            yield chosen
            chosen, total = [], end
        chosen.append(found)
        total += needed
    if chosen:
        yield chosen


def _extension(path: Path) -> str:
    """The file's own, or that of its format if Pillow does not know it."""
    own = path.suffix.lower()
    if own in Image.registered_extensions():
        return own.removeprefix(".")
    with open_picture(path) as picture:
        return str(picture.format).lower()


def notation(names: Sequence[str]) -> str:
    """Names with running numbers, in braces.

    >>> notation(["test-000000.tar"]), notation(["train-000000.tar", "train-000001.tar"])
    ('test-000000.tar', 'train-{000000..000001}.tar')
    """
    first, last = (name.removesuffix(".tar").rpartition("-")[2] for name in (names[0], names[-1]))
    return names[0] if len(names) == 1 else names[0].replace(first, f"{{{first}..{last}}}")
