"""Downloads one file over HTTP so that a broken transfer is taken up where it broke."""

import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rich.console import Console

from plusx.data.progress import say, transfer

TRIES = 3
WAIT = 1.0  # seconds between two tries
TIMEOUT = 5.0  # seconds without an answer or without a byte
_CHUNK = 1 << 18


def download(url: str, path: Path, console: Console) -> None:
    """Bring `url` to `path`; a piece of it waits in `path` + ".part" for a later call to go on.

    A transfer that breaks is tried `TRIES` times, `WAIT` seconds apart; one that brings nothing at the first
    try is not tried again, because then the network is away. Raises `OSError` when it can't be had.
    """
    part = path.with_name(f"{path.name}.part")
    for attempt in range(1, TRIES + 1):
        before = _size(part)
        try:
            _transfer(url, part, console)
            part.replace(path)
            return
        except (OSError, HTTPException) as error:
            if attempt == TRIES or (attempt == 1 and _size(part) <= before):
                raise OSError(f"{url}: {getattr(error, 'reason', error)}") from error
            say(
                console,
                f"The transfer broke after {_size(part) / 1e6:.1f} MB ({error}); going on from there.",
            )
            time.sleep(WAIT)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _transfer(url: str, part: Path, console: Console) -> None:
    """Append to `part` what is still missing of `url`, by an HTTP range request (RFC 9110, section 14)."""
    done = _size(part)
    try:
        response = urlopen(Request(url, headers={"Range": f"bytes={done}-"} if done else {}), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416:  # 416: there is nothing behind our piece
            raise
        if error.headers.get("Content-Range") == f"bytes */{done}":
            return  # because the piece is the whole
        part.unlink()
        done = 0
        response = urlopen(url, timeout=TIMEOUT)
    with response:
        if response.status != 206:  # the server sends the whole file, whatever we asked for
            done = 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        with part.open("ab" if done else "wb") as file, transfer(console, part.stem, total, done) as show:
            done = _copy(response, file.write, show, done)
    if total is not None and done < total:
        raise OSError(f"the connection closed {(total - done) / 1e6:.1f} MB early")


def _copy(
    response: HTTPResponse, write: Callable[[bytes], object], show: Callable[[int], None], done: int
) -> int:
    while chunk := response.read(_CHUNK):
        write(chunk)
        done += len(chunk)
        show(done)
    return done
