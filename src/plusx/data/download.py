"""Downloads one file over HTTP so that a broken transfer is taken up where it broke."""

import re
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from socket import gaierror
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rich.console import Console

from plusx.console import say, transfer

TRIES = 3
WAIT = 1.0  # seconds between two tries
TIMEOUT = 5.0  # seconds without an answer or without a byte
_CHUNK = 1 << 18


class ChangedError(OSError):
    """The server has another version of the file than the one that was asked for."""


def stamp_of(headers: HTTPMessage) -> str:
    """What a server says of a file's length and version, "LENGTH VERSION"; "" if it says neither.

    Of a part of a file it is the stamp of the whole.
    """
    length = headers.get("Content-Length", "")
    if found := re.fullmatch(r"bytes \d+-\d+/(\d+)", headers.get("Content-Range", "")):
        length = found[1]
    length = length if length.isdecimal() else ""
    version = headers.get("ETag") or headers.get("Last-Modified") or ""
    return f"{length} {version}" if length or version else ""


def download(url: str, path: Path, console: Console, *, stamp: str = "") -> None:
    """Bring `url` to `path`; a piece of it waits in `path` + ".part" for a later call to go on.

    A transfer that breaks, stalls or meets a busy server is tried `TRIES` times, `WAIT` seconds apart. Where
    the first try finds no network, no server or no such file, there is no other.

    Args:
        url: of the file.
        path: where it goes; in a folder that is there.
        console: says how far it is.
        stamp: what the server said of the file before, see `stamp_of`; nothing else is taken for it.

    Raises:
        OSError: when it can't be had; `ChangedError` if the server has another version by now.
    """
    part = path.with_name(f"{path.name}.part")
    for attempt in range(1, TRIES + 1):
        try:
            _transfer(url, part, console, stamp)
            part.replace(path)
            return
        except (OSError, HTTPException) as error:
            if isinstance(error, ChangedError):
                raise
            if attempt == TRIES or (attempt == 1 and _is_final(error)):
                raise OSError(f"{url}: {getattr(error, 'reason', error)}") from error
            say(
                console,
                f"The transfer broke after {_size(part) / 1e6:.1f} MB ({error}); going on from there.",
            )
            time.sleep(WAIT)


def _is_final(error: Exception) -> bool:
    """Whether trying again is of no use: no such file, nobody there, or no network to ask for a name."""
    if isinstance(error, HTTPError):
        return 400 <= error.code < 500
    return isinstance(getattr(error, "reason", error), (ConnectionRefusedError, gaierror))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _transfer(url: str, part: Path, console: Console, stamp: str) -> None:
    """Append to `part` what is still missing of `url`, by an HTTP range request (RFC 9110, section 14)."""
    done = _size(part)
    version = stamp.partition(" ")[2]
    headers = {"Range": f"bytes={done}-"} if done else {}
    if done and version and not version.startswith("W/"):  # a weak one says nothing of single bytes
        headers["If-Range"] = version
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416:  # 416: there is nothing behind our piece
            raise
        if error.headers.get("Content-Range") == f"bytes */{done}":
            return  # because the piece is the whole
        part.unlink()
        done = 0
        response = urlopen(url, timeout=TIMEOUT)
    with response:
        _refuse_other(response.headers, stamp)
        if response.status != 206:  # the server sends the whole file, whatever we asked for
            done = 0
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdecimal() else None
        with part.open("ab" if done else "wb") as file, transfer(console, part.stem, total, done) as show:
            done = _copy(response, file.write, show, done)
    if total is not None and done < total:
        raise OSError(f"the connection closed {(total - done) / 1e6:.1f} MB early")


def _refuse_other(headers: HTTPMessage, stamp: str) -> None:
    """Raise `ChangedError` where an answer says something else than the stamp; it may leave things unsaid."""
    (length, _, version), (now, _, version_now) = stamp.partition(" "), stamp_of(headers).partition(" ")
    if (length and now and now != length) or (version and version_now and version_now != version):
        raise ChangedError("it changed on the server since it was looked at")


def _copy(
    response: HTTPResponse, write: Callable[[bytes], object], show: Callable[[int], None], done: int
) -> int:
    while chunk := response.read(_CHUNK):
        write(chunk)
        done += len(chunk)
        show(done)
    return done
