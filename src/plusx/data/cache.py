"""Where CIFAR-10 lives on this machine: fetched once, checked every time, shared by every process.

Files only ever appear whole (written under another name, then renamed), so only fetching needs a lock.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import platformdirs
from filelock import FileLock, Timeout
from rich.console import Console

from plusx.console import say
from plusx.data.layouts import ARCHIVE, FOLDER, Batch, survey
from plusx.data.records import BATCHES, CLASSES, Images, Labels, Split, decode, of_split
from plusx.data.sources import SOURCES, Source, SourceError
from plusx.data.statistics import channel_statistics
from plusx.errors import UserError
from plusx.files import write_whole


def cache_folder() -> Path:
    """Return the folder for downloads: the variable `PLUSX_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("PLUSX_CACHE")
    return Path(chosen or platformdirs.user_cache_dir("plusx", appauthor=False)).expanduser()


def fetch(
    root: Path | str | None = None,
    *,
    console: Console | None = None,
    table: Mapping[str, str] = BATCHES,
    sources: Mapping[str, Source] = SOURCES,
) -> dict[str, Batch]:
    """Return every batch of `table`, sound; what is missing or damaged under `root` is fetched first.

    `root` is a folder that holds, or is to hold, CIFAR-10 (None: `cache_folder()`). The sources are tried in
    order, and the one that served is named on `console` (None: standard error). Raises `UserError` when none
    can serve or the folder can't be written.
    """
    folder = cache_folder() if root is None else Path(root)
    console = console or Console(stderr=True)
    try:
        found = survey(folder, table)
        if _wanted(found, table):
            if folder.is_file():
                raise UserError(f"{folder} is not a whole, sound CIFAR-10; name a folder to fetch it into")
            folder.mkdir(parents=True, exist_ok=True)
            with _lock(folder, console):
                found = survey(folder, table)  # another process may have fetched it meanwhile
                _mend(folder, found, table, sources, console)
    except OSError as error:
        raise UserError(
            f"{folder}: {error.strerror or error}; PLUSX_CACHE=DIR chooses another folder"
        ) from error
    return found


def verify(root: Path | str | None = None, table: Mapping[str, str] = BATCHES) -> dict[str, Batch]:
    """Return each batch of `table` as it is under `root` (None: the cache), with its fault if it has one.

    >>> verify("no/such/folder")["test_batch"].fault
    'missing'
    """
    folder = cache_folder() if root is None else Path(root)
    found = survey(folder, table)
    return {name: found.get(name, Batch(name, str(folder), b"", "missing")) for name in table}


@dataclass(frozen=True)
class Info:
    """What CIFAR-10 under a folder is: batches, pictures a class, channel statistics."""

    folder: Path
    batches: Mapping[str, Batch]
    counts: Mapping[Split, Mapping[str, int]]
    mean: tuple[float, ...]  # of the train split, in 0…1
    std: tuple[float, ...]

    def __str__(self) -> str:
        """Say it in a few lines, for the terminal."""
        size = sum(len(batch.content) for batch in self.batches.values())
        lines = [f"CIFAR-10 in {self.folder}: {len(self.batches)} batches, {size / 1e6:.1f} MB, all sound"]
        for split, counts in self.counts.items():
            each = ", ".join(f"{name} {count}" for name, count in counts.items())
            lines.append(f"{split}: {sum(counts.values())} pictures ({each})")
        for title, values in (("channel means", self.mean), ("channel standard deviations", self.std)):
            lines.append(f"{title}, of train, in 0…1: {', '.join(f'{value:.8f}' for value in values)}")
        return "\n".join(lines)


def info(root: Path | str | None = None, table: Mapping[str, str] = BATCHES) -> Info:
    """Describe CIFAR-10 under `root` (None: the cache), everything counted and computed from the files.

    Raises `UserError`, naming the batch, if one is missing or damaged.
    """
    batches = verify(root, table)
    for batch in batches.values():
        if batch.fault:
            raise UserError(f"{batch.where}: {batch.name}: {batch.fault}; `plusx data fetch` brings it")
    images, labels = join(batches.values(), "train")
    counts: dict[Split, dict[str, int]] = {
        "train": _count(labels),
        "test": _count(join(batches.values(), "test")[1]),
    }
    mean, std = channel_statistics(images)
    folder = cache_folder() if root is None else Path(root)
    return Info(folder, batches, counts, tuple(mean.tolist()), tuple(std.tolist()))


def _count(labels: Labels) -> dict[str, int]:
    return dict(zip(CLASSES, np.bincount(labels, minlength=len(CLASSES)).tolist(), strict=True))


def join(batches: Iterable[Batch], split: Split) -> tuple[Images, Labels]:
    """Decode the batches of a split and put them together: pictures (N, 32, 32, 3) and labels (N,)."""
    chosen = of_split({batch.name: batch for batch in batches}, split)
    images, labels = zip(*(decode(batch.content) for batch in chosen.values()), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def cifar10(
    split: Split = "train", root: Path | str | None = None, *, table: Mapping[str, str] = BATCHES
) -> tuple[Images, Labels]:
    """Return CIFAR-10's pictures (N, 32, 32, 3), uint8, and labels (N,), int64, fetching them if need be.

    N is 50 000 for "train" and 10 000 for "test"; `root`, `table` and the errors are those of `fetch`.
    """
    if split not in ("train", "test"):
        raise ValueError(f'a split is "train" or "test", not {split!r}')
    return join(fetch(root, table=table).values(), split)


def _wanted(found: Mapping[str, Batch], table: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the table that isn't there, or is there but damaged."""
    return {name: digest for name, digest in table.items() if name not in found or found[name].fault}


def _lock(folder: Path, console: Console) -> AbstractContextManager[object]:
    lock = FileLock(folder / ".lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        say(console, "Another process is fetching CIFAR-10; waiting for it.")
        return lock.acquire()


def _mend(
    folder: Path,
    found: dict[str, Batch],
    table: Mapping[str, str],
    sources: Mapping[str, Source],
    console: Console,
) -> None:
    """Fetch what `found` lacks into `folder`, and enter it there."""
    for batch in found.values():
        if batch.fault:
            say(console, f"{batch.where}: {batch.fault}; fetching it again.")
    work = folder / "incoming"  # stays after a failure: a transfer that broke goes on from there
    reasons = []
    for title, source in sources.items():
        wanted = _wanted(found, table)
        if not wanted:
            break
        work.mkdir(exist_ok=True)
        say(console, f"Fetching CIFAR-10 from {title}.")
        try:
            for batch in source(work, wanted, console):
                if batch.fault:
                    raise SourceError(f"{batch.where}: {batch.fault}")
                found[batch.name] = _store(folder / FOLDER, batch)
            if absent := _wanted(found, wanted):
                raise SourceError(f"it lacks {', '.join(absent)}")
        except SourceError as error:
            reasons.append(f"{title}: {error}")
            say(console, f"Not from {reasons[-1]}.")
        else:
            say(console, f"Served by {title}; every SHA-256 is right.")
    if _wanted(found, table):
        why = f" ({'; '.join(reasons)})" if console.quiet else ""  # the console has said it
        raise UserError(
            f"CIFAR-10 could not be fetched{why}; put {ARCHIVE} into {folder}, or take --data sample"
        )
    shutil.rmtree(work, ignore_errors=True)


def _store(folder: Path, batch: Batch) -> Batch:
    folder.mkdir(exist_ok=True)
    path = folder / f"{batch.name}.bin"
    write_whole(path, batch.content)
    return replace(batch, where=str(path))
