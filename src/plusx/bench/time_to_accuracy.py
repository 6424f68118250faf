"""How long finished runs trained until they named 90 % and 94 % of the test pictures right."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from plusx.errors import UserError
from plusx.report.finished import read_run
from plusx.report.run_files import RunFiles

ACCURACIES = (0.90, 0.94)


def time_to(directories: Sequence[Path]) -> dict[str, Any]:
    """Sum up the runs of one recipe; nothing is trained here.

    An accuracy is reached at the end of the first epoch whose plain test accuracy is as high, else at the end
    of the run if the accuracy with views is. `seconds_train` are those of training up to then, and
    `seconds_with_evaluation` have the evaluations too, by which it is known. The setup is in neither.

    Args:
        directories: finished runs, or folders of them.

    Returns:
        `recipe`, `processors` and, for each accuracy, a row of `rows`: how many of the runs `reached` it, how
        many of these only `with_views`, the median `seconds_train` and `seconds_with_evaluation` of all of
        them (null if it is a run that did not), and the `runs` one by one.

    Raises:
        UserError: if a run is not finished or is damaged, or they differ in more than the seed.
    """
    found = [read_run(run) for directory in directories for run in _runs_in(directory)]
    first, *others = found
    for other in others:
        a, b = first.settings, other.settings
        differ = sorted(key for key in a | b if a.get(key) != b.get(key))
        if differ:
            raise UserError(
                f"{first.name} and {other.name} differ in {', '.join(differ)} and have no median in common; "
                "give runs of one recipe"
            )
    runs = {run.name: run.files for run in found}
    return {
        "recipe": first.recipe.name,
        "processors": sorted({str(files.environment.get("processor")) for files in runs.values()}),
        "rows": [_row(accuracy, runs) for accuracy in ACCURACIES],
    }


def _runs_in(directory: Path) -> list[Path]:
    """The directory itself, or the finished runs in it if it is none."""
    if (directory / "metrics.jsonl").exists():
        return [directory]
    return sorted(path.parent for path in directory.glob("*/result.json")) or [directory]


def _row(accuracy: float, runs: dict[str, RunFiles]) -> dict[str, Any]:
    found = [{"run": name} | reached(files, accuracy) for name, files in runs.items()]
    there = [run for run in found if run["seconds_train"] is not None]
    return {
        "accuracy": accuracy,
        "reached": len(there),
        "with_views": sum(run["with_views"] for run in there),
        **{key: _median([run[key] for run in found]) for key in ("seconds_train", "seconds_with_evaluation")},
        "runs": found,
    }


def reached(run: RunFiles, accuracy: float) -> dict[str, Any]:
    """When a run reached an accuracy, 0…1: `epoch`, `with_views`, and the seconds (null if it never did)."""
    trained = evaluated = 0.0
    for row in run.epochs:
        trained += row["seconds_train"]
        evaluated += row["seconds_evaluate"]
        if (row["test_accuracy"] or 0.0) >= accuracy:
            return _at(row["epoch"], trained, evaluated)
    if (run.result["test_accuracy_tta"] or 0.0) >= accuracy:
        # The journal does not have the evaluation with views, at the run's end.
        evaluated = run.result["seconds"].get("evaluate", evaluated)
        return _at(run.epochs[-1]["epoch"], trained, evaluated) | {"with_views": True}
    return dict.fromkeys(_at(0, 0.0, 0.0)) | {"with_views": False}


def _at(epoch: int, trained: float, evaluated: float) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "with_views": False,
        "seconds_train": round(trained, 2),
        "seconds_with_evaluation": round(trained + evaluated, 2),
    }


def _median(seconds: list[float | None]) -> float | None:
    """The median, a run that never got there counted as longer than all others; None if it is one of those.

    >>> _median([3.0, None, 2.0]), _median([3.0, None])
    (3.0, None)
    """
    middle = median(math.inf if value is None else value for value in seconds)
    return round(middle, 2) if math.isfinite(middle) else None
