"""Files written whole or not at all."""

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write beside the file, flush to disk, then put it in the file's place in one step.

    Whatever goes wrong, what was there before stays, and nothing else is left behind. What text can't hold in
    UTF-8 (a file name may have such bytes) is written as an escape.

    Raises:
        OSError: with the file's name, if the disk is full or the folder can't be written.
    """
    partial = path.with_name(f"{path.name}.part")
    try:
        # Not through a link that lies there, which may lead anywhere, nor into what a killed process left.
        partial.unlink(missing_ok=True)
        with open(partial, "xb") as file:
            file.write(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
