"""Finds CIFAR-10 on disk, in any layout that people have it in, and checks every batch by its content.

A layout is a container (a folder or a tar archive) of files in one of two encodings (binary or Python).
Looked at, in this order: the folder itself, `cifar-10-batches-bin/`, `cifar-10-batches-py/` (torchvision's
place for it too), `cifar-10-binary.tar.gz` and `cifar-10-python.tar.gz`.
"""

import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten

from plusx.data.archives import open_tar
from plusx.data.records import BATCHES, digest
from plusx.data.unpickle import from_python
from plusx.errors import UserError
from plusx.text import visible

FOLDER = "cifar-10-batches-bin"
ARCHIVE = "cifar-10-binary.tar.gz"
LARGEST = (
    40_000_000  # bytes; CIFAR-10's largest file has 31 million, and no more than this is ever read of one
)
_MOST_FILES = 100
_CONTAINERS = (".", FOLDER, "cifar-10-batches-py", ARCHIVE, "cifar-10-python.tar.gz")

LOOKED_FOR = (
    "data_batch_1.bin … test_batch.bin (or data_batch_1 … test_batch, the Python version), "
    "there or in cifar-10-batches-bin/, cifar-10-batches-py/, "
    "cifar-10-binary.tar.gz or cifar-10-python.tar.gz"
)


@dataclass(frozen=True)
class Batch:
    """A batch as found: its content in the binary layout, and its fault if it isn't the real one."""

    name: str
    where: str
    content: bytes = field(repr=False)
    fault: str | None = None


def survey(root: Path, table: Mapping[str, str] = BATCHES) -> dict[str, Batch]:
    """Look for the batches of `table` (name → SHA-256) under `root`, a folder or an archive.

    Where a batch is there several times, a sound one wins. What isn't there at all is not in the result.
    Raises `UserError` for a file or folder that the user may not read.

    >>> survey(Path("no/such/folder"))
    {}
    """
    try:
        return _survey(root, table)
    except OSError as error:
        raise UserError(
            f"{error.filename or root}: {error.strerror or error}; check its permissions"
        ) from error


def _survey(root: Path, table: Mapping[str, str]) -> dict[str, Batch]:
    found: dict[str, Batch] = {}
    for container in [root] if root.is_file() else [root / name for name in _CONTAINERS]:
        missing = [name for name in table if name not in found or found[name].fault]
        if not missing:
            break
        for batch in read(container, missing, table):
            if batch.name not in found or not batch.fault:
                found[batch.name] = batch
    return {name: found[name] for name in table if name in found}


def read(container: Path, names: Collection[str], table: Mapping[str, str] = BATCHES) -> Iterator[Batch]:
    """Read the named batches from one folder or archive, each checked against `table`.

    In a broken archive, the batches after the break are yielded with that fault and no content.
    """
    files = _folder(container, names) if container.is_dir() else _archive(container, names)
    unseen = set(names)
    try:
        for name, where, content in files:
            unseen.discard(name)
            yield _check(name, where, content, table[name])
    except Exception as error:  # a broken archive can fail in any way
        if isinstance(error, OSError) and error.errno:
            raise
        reason = shorten(visible(str(error).partition("\n")[0].rstrip(":")), 200, placeholder=" …")
        for name in names:
            if name in unseen:
                yield Batch(name, str(container), b"", f"the archive is broken ({reason})")


def _check(name: str, where: str, content: bytes, expected: str) -> Batch:
    try:
        return verified(name, where, content if where.endswith(".bin") else from_python(content), expected)
    except ValueError as error:
        return Batch(name, where, b"", str(error))


def verified(name: str, where: str, content: bytes, expected: str) -> Batch:
    """Return the batch, with a fault if its SHA-256 isn't the expected one.

    >>> verified("test_batch", "test_batch.bin", b"", "8e2e").fault
    "its SHA-256 is not that of CIFAR-10's test_batch"
    """
    sound = digest(content) == expected
    return Batch(name, where, content, None if sound else f"its SHA-256 is not that of CIFAR-10's {name}")


def _folder(folder: Path, names: Collection[str]) -> Iterator[tuple[str, str, bytes]]:
    """Yield (batch name, where it is, content of the file) for the named batches in a folder."""
    for name in names:
        for path in (folder / f"{name}.bin", folder / name):
            if path.is_file():
                with path.open("rb") as file:
                    yield name, str(path), file.read(LARGEST + 1)


def _archive(path: Path, names: Collection[str]) -> Iterator[tuple[str, str, bytes]]:
    """Yield the same for an archive, read from front to back; nothing for a file that isn't there."""
    if not path.is_file():
        return
    with open_archive(path) as archive:
        for member in archive:
            name = member.name.rpartition("/")[2].removesuffix(".bin")
            content = archive.extractfile(member) if name in names and member.isfile() else None
            if content is not None:
                yield name, f"{path}:{visible(member.name)}", content.read(LARGEST + 1)


def open_archive(path: Path) -> tarfile.TarFile:
    """Open an archive of CIFAR-10; it ends in a `ReadError` where it holds what no such archive does."""
    return open_tar(path, largest=LARGEST, most=_MOST_FILES)
