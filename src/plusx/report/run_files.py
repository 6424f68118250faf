"""What a run directory tells, read with clear errors."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plusx.errors import UserError
from plusx.text import from_json

RESULT_KEYS = frozenset(
    {
        *("recipe", "model", "parameters", "epochs", "seed", "engine", "device"),
        *("test_accuracy", "test_accuracy_tta", "train_accuracy", "seconds", "images_per_second"),
        *("peak_memory_bytes", "plusx_version", "torch_version"),
    }
)
EPOCH_KEYS = frozenset(
    {
        *("epoch", "learning_rate", "train_loss", "train_accuracy", "test_loss", "test_accuracy"),
        *("validation_loss", "validation_accuracy", "seconds_train", "seconds_evaluate", "images_per_second"),
    }
)
TEXTS = frozenset({"recipe", "model", "engine", "device", "plusx_version", "torch_version"})
NOT_ALWAYS = frozenset({"test_loss", "test_accuracy", "validation_loss", "validation_accuracy"})


@dataclass(frozen=True)
class RunFiles:
    """The readable files of one run."""

    directory: Path
    """As it was given."""
    settings: str
    """`recipe.toml`, as it stands."""
    epochs: list[dict[str, Any]]
    """A row of `metrics.jsonl` for each epoch, the last one last."""
    result: dict[str, Any]
    environment: dict[str, Any]
    terminal: str | None
    """`terminal.svg`, or None if no terminal was recorded."""


def read_files(run: Path) -> RunFiles:
    """Read the files that the training left in `run`.

    Raises:
        UserError: a file is missing, is not what its name says, or lacks a figure.

    >>> read_files(Path("no/such/run"))
    Traceback (most recent call last):
    plusx.errors.UserError: no/such/run/recipe.toml can't be read (No such file or directory); give the
    directory of a finished run
    """
    settings = _text(run / "recipe.toml")
    metrics = run / "metrics.jsonl"
    lines = _text(metrics).splitlines()
    epochs = [
        read_object(line, f"{metrics} line {number}", EPOCH_KEYS, NOT_ALWAYS)
        for number, line in enumerate(lines, 1)
    ]
    if not epochs:
        raise UserError(f"{metrics} is empty: no epoch was finished; train for one epoch at least")
    result = read_object(
        _text(run / "result.json"), str(run / "result.json"), RESULT_KEYS, frozenset({"test_accuracy_tta"})
    )
    environment = read_object(_text(run / "environment.json"), str(run / "environment.json"), frozenset())
    terminal = run / "terminal.svg"
    shown = _text(terminal) if terminal.exists() else None
    return RunFiles(run, settings, epochs, result, environment, shown)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UserError(f"{path} can't be read ({reason}); give the directory of a finished run") from error


def read_object(
    text: str, where: str, needed: frozenset[str], may_be_none: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The JSON object in a text, with the figures that it needs.

    Raises:
        UserError: if it is none, lacks one, or one can't be; `where` tells the reader which text it is.
    """
    try:
        value = from_json(text)
    except ValueError as error:
        raise UserError(f"{where} is not JSON ({error}); was the run interrupted? resume it") from error
    if not isinstance(value, dict):
        raise UserError(f"{where} is not a JSON object; was it edited by hand? train again")
    if missing := sorted(needed - value.keys()):
        raise UserError(f"{where} lacks {', '.join(missing)}; was it written by another version? train again")
    for key in sorted(needed):
        if not (_sound(key, value[key]) or (value[key] is None and key in may_be_none)):
            raise UserError(f"{where}: {key} can't be {value[key]!r}; was it edited by hand? train again")
    return value


def _sound(key: str, value: object) -> bool:
    """Whether a figure is a number, a share one in 0…1, a name a text."""
    if key in TEXTS:
        return isinstance(value, str)
    if key == "seconds":
        return isinstance(value, dict) and all(_sound(part, of) for part, of in value.items())
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return False
    return 0 <= value <= 1 or not key.endswith(("accuracy", "accuracy_tta"))
