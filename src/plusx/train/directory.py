"""The run directory: claimed before the first step, by one process at a time."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from plusx.errors import UserError
from plusx.files import write_whole
from plusx.text import from_json, json_text
from plusx.train.recipe import Recipe, load_recipe, to_toml

LOCK, PICTURES = ".lock", "data.json"


def refuse_taken(run: Path) -> None:
    """Make sure that a new run may use this directory.

    Raises:
        UserError: if it holds a run, or anything else.
    """
    if (run / "recipe.toml").exists():
        raise UserError(
            f"{run} already holds a run; choose another --out, or go on with --resume {shlex.quote(str(run))}"
        )
    if run.exists() and not run.is_dir():
        raise UserError(f"{run} is a file; choose another --out")
    # A run that was killed before its recipe was written has not begun.
    if run.is_dir() and any(path.name not in (LOCK, PICTURES) for path in run.iterdir()):
        raise UserError(f"{run} is not empty; choose another --out")


@contextmanager
def locked(run: Path, wait: bool = False) -> Iterator[None]:
    """Keep every other process from training in this directory, which is made if it is not there.

    Args:
        run: the directory.
        wait: for another process to leave it, instead of refusing.

    Raises:
        UserError: if another process does, or the directory can't be written.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        held = FileLock(run / LOCK, timeout=-1 if wait else 0).acquire()
    except Timeout:
        raise UserError(f"another process is training in {run}") from None
    except OSError as error:
        raise UserError(f"can't write to {run}: {error.strerror}; choose another --out") from error
    with held:
        yield


def claim(run: Path, recipe: Recipe, record: dict[str, Any] | None = None) -> None:
    """Make the run directory and write the resolved recipe into it, and the record of a user's own pictures.

    Raises:
        UserError: if the directory is taken or can't be written.
    """
    refuse_taken(run)
    try:
        run.mkdir(parents=True, exist_ok=True)
        if record:
            write_whole(run / PICTURES, json_text(record) + "\n")
        write_whole(run / "recipe.toml", to_toml(recipe))
    except OSError as error:
        raise UserError(f"can't write to {run}: {error.strerror}; choose another --out") from error


def refuse_changed(run: Path, record: dict[str, Any]) -> None:
    """Make sure that a run goes on with the pictures that it began with.

    Raises:
        UserError: if the user's folder has other pictures or splits now, or others can be read.
    """
    if record and not alike(record_of(run), record):
        raise UserError(
            f"the pictures in {record['folder']} changed since the run in {run} began; start a new run"
        )


def alike(record: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two records are of the same pictures, in the same classes and splits; shards have no split."""
    return all(record.get(key) == other.get(key) for key in ("content", "split"))


def record_of(run: Path) -> dict[str, Any]:
    """What a run's `data.json` says of the user's own pictures; empty for CIFAR-10, which has none.

    Raises:
        UserError: if it is damaged.
    """
    path = run / PICTURES
    if not path.exists():
        return {}
    try:
        record: dict[str, Any] = from_json(path.read_text(encoding="utf-8"))
        _ = Path(record["folder"]), str(record["content"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} can't be read ({error}); use another copy of the run") from error
    return record


def recipe_of(run: Path) -> Recipe:
    """The recipe of an unfinished run.

    Raises:
        UserError: if there is no run, or it is finished.
    """
    if not (run / "recipe.toml").exists():
        raise UserError(f"{run} holds no run to resume: there is no recipe.toml in it")
    if (run / "report.html").exists():
        raise UserError(f"the run in {run} is finished; to train longer, start a new run with --epochs")
    return load_recipe(str(run / "recipe.toml"))
