"""What is in a shard, without reading the pictures: where in the tar file each one lies, and its class."""

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plusx.data.archives import open_tar
from plusx.data.cache import cache_folder
from plusx.data.picture import MOST_BYTES
from plusx.data.shards.files import Shard
from plusx.errors import UserError, optional
from plusx.files import write_whole

VERSION = 1  # of the cached form
BLOCK = tarfile.BLOCKSIZE
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zX", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstd


@dataclass(frozen=True, eq=False)
class Index:
    """The samples of one shard, in their order.

    Attributes:
        offsets: int64 (N,): where the picture's bytes begin in the tar file.
        sizes: int64 (N,): how many bytes it has.
        labels: int64 (N,): its class.
        faults: of the samples that can't be used, by number, the name and the reason.
        digest: of all names, sizes, times and labels.
    """

    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    labels: NDArray[np.int64]
    faults: dict[int, tuple[str, str]]
    digest: str

    def __len__(self) -> int:
        """How many samples there are, those with faults too."""
        return len(self.labels)


def index_of(shard: Shard) -> Index:
    """The index of a shard; made once and kept in the user's cache as long as the shard stays as it is.

    Raises:
        UserError: if it can't be had, is no tar file, a compressed one, or ends too early.
    """
    identity = f"{VERSION} {shard.where} {shard.stamp}"
    if not shard.stamp:
        with shard.open() as file:
            state = os.fstat(file.fileno())
        identity = f"{VERSION} {shard.path.resolve()} {state.st_size} {state.st_mtime_ns}"
    kept = cache_folder() / "shards" / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.index.npz"
    # Not there, or damaged: then it is made anew.
    with suppress(OSError, EOFError, ValueError, KeyError, BadZipFile):
        return _from_bytes(kept.read_bytes())
    index = scan(shard)
    with suppress(OSError):  # a cache that can't be written costs time, nothing else
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, _to_bytes(index))
    return index


def scan(shard: Shard) -> Index:
    """Read the headers of a shard, and the labels.

    Raises:
        UserError: if it can't be had, is no tar file, a compressed one, or ends too early.
    """
    samples = list(_samples(shard))
    faults = {
        number: (sample.picture or sample.key, sample.fault)
        for number, sample in enumerate(samples)
        if sample.fault
    }
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(f"{sample.seen} {sample.label}\n".encode())
    return Index(
        np.array([sample.offset for sample in samples], np.int64),
        np.array([sample.size for sample in samples], np.int64),
        np.array([sample.label for sample in samples], np.int64),
        faults,
        digest.hexdigest(),
    )


def name_at(shard: Shard, offset: int) -> str:
    """The name of the file whose content begins at `offset`, as the header before it says."""
    with shard.open() as file:
        file.seek(offset - BLOCK)
        return tarfile.TarInfo.frombuf(file.read(BLOCK), "utf-8", "surrogateescape").name


@dataclass
class _Sample:
    key: str
    picture: str = ""
    offset: int = 0
    size: int = 0
    label: int = -1
    text: str | None = None  # of the label
    seen: list[tuple[str, int, float]] = field(default_factory=list)

    @property
    def fault(self) -> str:
        if not self.picture:
            return "no picture beside its label" if self.text is not None else "no picture"
        if self.size > MOST_BYTES:
            return "too big a picture"
        if self.text is None:
            return "no label (.cls) beside it"
        return "" if self.label >= 0 else f"the label {self.text!r} is no class number"


def _samples(shard: Shard) -> Iterator[_Sample]:
    """The samples of a tar file: neighbours whose names agree up to the first dot."""
    base_plus_ext = optional("webdataset", "shards").tariterators.base_plus_ext
    Image.init()
    formats = {suffix.removeprefix(".") for suffix in Image.registered_extensions()}
    sample: _Sample | None = None
    for member, content in _members(shard):
        key, extension = base_plus_ext(member.name)
        if key is None or Path(key).name.startswith("__"):  # webdataset keeps such names for itself
            continue
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample = _Sample(key)
        sample.seen.append((member.name, member.size, member.mtime))
        extension = extension.lower()
        if extension == "cls":
            sample.text = content.decode("utf-8", "replace").strip()
            sample.label = int(sample.text) if re.fullmatch("[0-9]{1,9}", sample.text) else -1
        elif extension in formats and not sample.picture:
            sample.picture, sample.offset, sample.size = member.name, member.offset_data, member.size
    if sample is not None:
        yield sample


def _members(shard: Shard) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """The files of a tar file, with the content of those that hold a label."""
    with shard.open() as file:
        start = file.read(4)
        file.seek(0)
        if start.startswith(COMPRESSED):
            raise UserError(f"{shard.where} is compressed; shards are plain tar files: unpack it first")
        try:
            with open_tar(file, plain=True) as archive:
                for member in archive:
                    if member.isfile():
                        label = archive.extractfile(member) if member.name.lower().endswith(".cls") else None
                        yield member, label.read(64) if label is not None else b""
                # Python's tarfile takes whatever follows the last readable header for the end.
                file.seek(archive.offset)
                if file.read(BLOCK) != bytes(BLOCK):
                    where = f"at byte {archive.offset:,}"
                    raise UserError(f"{shard.where} ends too early, or is damaged, {where}; bring it anew")
        except UserError:
            raise
        except Exception as error:  # a damaged header can make tarfile fail in any way
            what = "ends too early" if "unexpected end" in str(error) else "is no tar file"
            raise UserError(
                f"{shard.where} {what} ({error}); bring it anew, or write shards by plusx data pack"
            ) from error


def _to_bytes(index: Index) -> bytes:
    file = io.BytesIO()
    texts = json.dumps([list(index.faults.items()), index.digest])
    np.savez(file, offsets=index.offsets, sizes=index.sizes, labels=index.labels, texts=np.array(texts))
    return file.getvalue()


def _from_bytes(content: bytes) -> Index:
    with np.load(io.BytesIO(content), allow_pickle=False) as parts:
        faults, digest = json.loads(str(parts["texts"]))
        return Index(
            parts["offsets"],
            parts["sizes"],
            parts["labels"],
            {number: (name, reason) for number, (name, reason) in faults},
            digest,
        )
