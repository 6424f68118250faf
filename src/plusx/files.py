"""Files written whole or not at all."""

import os
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

HOUR = 3600.0


def write_whole(path: Path, content: str | bytes) -> None:
    """Write beside the file, flush to disk, then put it in the file's place in one step.

    Whatever goes wrong, what was there before stays, and nothing else is left behind. Of several who write
    the same file at once, one is the last. What text can't hold in UTF-8 (a file name may have such bytes) is
    written as an escape.

    Raises:
        OSError: with the file's name, if the disk is full or the folder can't be written.
    """
    write_all({path: content})


def write_all(contents: Mapping[Path, str | bytes]) -> None:
    """Write files, each whole; on an error before the last byte is on disk, none of them changes.

    Raises:
        OSError: as `write_whole`.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_all({Path(folder) / "a": b"1", Path(folder) / "b": "2"})
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['a', 'b']
    """
    partials: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            _remove_left(path)
            partial = partials[path] = path.with_name(
                f"{path.name}.{os.getpid()}-{threading.get_native_id()}.part"
            )
            partial.unlink(missing_ok=True)  # not through a link that lies there, which may lead anywhere
            with open(partial, "xb") as file:
                file.write(
                    content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
                )
                file.flush()
                os.fsync(file.fileno())
        for path, partial in partials.items():
            os.replace(partial, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        for partial in partials.values():
            with suppress(OSError):  # a read-only disk refuses even this, where nothing is to be removed
                partial.unlink(missing_ok=True)


def _remove_left(path: Path) -> None:
    """Remove what processes that were killed while they wrote this file have left of it.

    Whether one still runs can't be asked on every system, nor of another machine; an hour is long to write.
    """
    with suppress(OSError):  # a folder that can't be read can perhaps be written
        for left in path.parent.iterdir():
            ours = re.fullmatch(rf"{re.escape(path.name)}\.\d+-\d+\.part", left.name)
            if ours and time.time() - left.lstat().st_mtime > HOUR:
                left.unlink(missing_ok=True)
