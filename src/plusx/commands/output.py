"""Where a command may write: asked before any work, since the work takes minutes."""

from collections.abc import Collection
from pathlib import Path

from plusx.errors import UserError


def refuse_output(path: Path, endings: Collection[str], option: str, force: bool) -> None:
    """Make sure that a file can be written there and takes nothing away.

    Args:
        path: the file.
        endings: its name has one of them.
        option: what the user calls it: "--out".
        force: an existing file may be replaced.

    Raises:
        UserError: if it has another ending, its folder is not there, it is a folder, or it exists.

    >>> refuse_output(Path("notes.txt"), (".html",), "--page", force=False)
    Traceback (most recent call last):
    plusx.errors.UserError: --page ends in .html, unlike notes.txt
    """
    if path.suffix not in endings:
        raise UserError(f"{option} ends in {' or '.join(endings)}, unlike {path}")
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent}; make it, or choose another {option}")
    if path.is_dir():
        raise UserError(f"{path} is a directory; choose another {option}")
    if path.exists() and not force:
        raise UserError(f"{path} exists; choose another {option}, or replace it with --force")


def refuse_page(page: Path | None, force: bool) -> None:
    """The same for a `--page`, if one is asked for."""
    if page is not None:
        refuse_output(page, (".html",), "--page", force)
