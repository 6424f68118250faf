"""Where shards lie: local files, or addresses on the web whose files come into the cache when needed."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, BinaryIO
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

from filelock import FileLock
from rich.console import Console

from plusx.data.cache import cache_folder
from plusx.data.download import TIMEOUT, ChangedError, download, stamp_of
from plusx.errors import UserError, optional

LONGEST = 1 << 24  # bytes of a text beside shards
RESERVE = 1 << 30  # bytes of the cache's disk that shards leave free


@dataclass(frozen=True)
class Shard:
    """One tar file.

    Attributes:
        where: its path or address.
        path: the local file; for an address, the one that `open` brings.
        stamp: what the server says of length and version; "" for a local file, and where it says neither.
    """

    where: str
    path: Path
    stamp: str = ""

    @property
    def name(self) -> str:
        """The file's name, without folder and address."""
        return Path(urlsplit(self.where).path).name if is_address(self.where) else self.path.name

    def open(self) -> BinaryIO:
        """The file, opened for reading; brought first if it lies elsewhere and is not in the cache.

        Several processes may ask for the same shard: one brings it.

        Raises:
            UserError: if it can't be had, or the disk is full.
        """
        try:
            if not is_address(self.where):
                return open(self.path, "rb")
            with suppress(FileNotFoundError):
                return open(self.path, "rb")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock"):
                while True:
                    with suppress(FileNotFoundError):  # others may make room with it at any time
                        return open(self.path, "rb")
                    _make_room(self.path.parent, int(self.stamp.partition(" ")[0] or 0))
                    download(self.where, self.path, Console(quiet=True), stamp=self.stamp)
        except ChangedError as error:
            raise UserError(f"{self.where}: {error}; start a new run") from error
        except OSError as error:
            reason = (error.strerror or str(error)).removeprefix(f"{self.where}: ")
            raise UserError(f"{self.where}: {reason}; try again, or --resume, when it can be had") from error

    def fetch(self) -> None:
        """See that the file is here, and stays here longer than those not asked for lately."""
        with self.open(), suppress(OSError):
            if is_address(self.where):
                os.utime(self.path)


def is_address(where: str) -> bool:
    """Whether this is on the web rather than in a folder.

    >>> is_address("https://example.org/train-000.tar"), is_address("shards/train-000.tar")
    (True, False)
    """
    return "://" in where


def is_shards(source: str) -> bool:
    """Whether what the user wrote after --data are shards: tar files, a notation with braces, addresses.

    >>> is_shards("shards/train-{000..099}.tar"), is_shards("photos"), is_shards("cifar-10-binary.tar.gz")
    (True, False, False)
    """
    # os.path takes what is too long for a path for something that isn't there; pathlib fails.
    if os.path.exists(source) and not source.endswith(".tar"):
        return False
    return is_address(source) or source.endswith(".tar") or "{" in source


def list_shards(source: str) -> list[Shard]:
    """The shards that a notation with braces stands for, as far as can be told without reading them.

    Args:
        source: `shards/train-{000..099}.tar`, a path or an http(s) address; several are joined by `::`.

    Raises:
        UserError: if the notation is wrong, a file is not there, or a server doesn't answer or lacks it.
    """
    names = list(_expand(source))
    if len(set(names)) < len(names):
        raise UserError(f"{source}: {max(names, key=names.count)} is in it more than once")
    missing = [name for name in names if not is_address(name) and not Path(name).is_file()]
    if missing:
        raise UserError(
            f"{missing[0]}: no such shard ({len(missing)} of {len(names)} are missing); "
            "--data 'DIR/train-{000..099}.tar' names them from first to last"
        )
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(_shard, names))


def beside(shard: Shard, name: str) -> str | None:
    """The text of a file that lies where the shard lies; None if there is none.

    Raises:
        UserError: if it is no text or a very long one, or the server doesn't answer.
    """
    try:
        if not is_address(shard.where):
            path = shard.path.with_name(name)
            if not path.is_file():
                return None
            with path.open("rb") as file:
                return _text(file)
        parts = urlsplit(shard.where)
        address = urlunsplit(parts._replace(path=f"{parts.path.rpartition('/')[0]}/{name}"))
        with urlopen(address, timeout=TIMEOUT) as answer:
            return _text(answer)
    except HTTPError as error:
        if error.code in (403, 404):  # some servers hide what is missing
            return None
        raise UserError(f"{error.url}: {error.reason}; try again later") from error
    except (OSError, HTTPException, ValueError) as error:
        raise UserError(f"{name} beside {shard.where} can't be read: {error}") from error


def _text(file: IO[bytes]) -> str:
    content = file.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise ValueError(f"it has more than {LONGEST:,} bytes")
    return content.decode("utf-8")


def _expand(source: str) -> Iterator[str]:
    webdataset = optional("webdataset", "shards")
    try:
        yield from webdataset.shardlists.expand_urls(source)
    except (ValueError, AssertionError) as error:
        raise UserError(f"{source}: {error}; write shards as 'DIR/train-{{000..099}}.tar'") from error


def _shard(where: str) -> Shard:
    if not is_address(where):
        return Shard(where, Path(where))
    if urlsplit(where).scheme not in ("http", "https"):
        raise UserError(f"{where}: shards are read from folders and from http:// or https:// addresses only")
    stamp = stamp_of(_head(where))
    name = hashlib.sha256(f"{where} {stamp}".encode()).hexdigest()[:32]
    return Shard(where, cache_folder() / "shards" / f"{name}.tar", stamp)


def _head(address: str) -> HTTPMessage:
    """What the server says of a file; some answer only to GET, whose content is then left unread."""
    for method in ("HEAD", "GET"):
        try:
            with urlopen(Request(address, method=method), timeout=TIMEOUT) as answer:
                return answer.headers
        except HTTPError as error:
            if method == "HEAD" and error.code in (403, 405, 501):
                continue
            raise UserError(
                f"{address}: {error.reason} (HTTP {error.code}); is it the right address?"
            ) from error
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise UserError(
                f"{address} doesn't answer: {reason}; check the address and the network"
            ) from error
    raise AssertionError("one of the two answered or failed")


def _make_room(folder: Path, needed: int) -> None:
    """Remove the shards that were used longest ago until the disk has room for one more."""

    def last_used(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except FileNotFoundError:  # another process made room with it
            return 0.0

    for path in sorted(folder.glob("*.tar"), key=last_used):
        if shutil.disk_usage(folder).free >= needed + RESERVE:
            return
        path.unlink(missing_ok=True)
