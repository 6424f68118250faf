"""Pictures and one self-contained page that show how a run went. Knows files and figures, no network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from plusx.files import write_all
from plusx.report.figures import draw_confusion, draw_curves, draw_mistakes
from plusx.report.run_files import read_files
from plusx.report.run_page import render_page
from plusx.report.style import DARK, LIGHT
from plusx.report.summary import summarise

__all__ = ["write_report"]


def write_report(
    run: Path,
    *,
    pictures: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
) -> None:
    """Write `curves.png`, `confusion.png`, `mistakes.png` and `report.html` into a run directory.

    Args:
        run: directory that holds `recipe.toml`, `metrics.jsonl`, `result.json`, `environment.json` and,
            if a terminal was recorded, `terminal.svg`.
        pictures: the test set, uint8 (N, H, W, 3).
        labels: true classes, int64 (N,).
        probabilities: the network's softmax output for each picture, float32 (N, classes), in 0…1.
        classes: a name for each column of `probabilities`.

    Everything is drawn in memory first, so an error leaves the directory as it was. Calling again
    replaces the four files.

    Raises:
        UserError: a file of the run is missing, damaged or incomplete.
        OSError: the directory can't be written.
        ValueError: the arrays don't fit each other.

    >>> empty = np.zeros(0)
    >>> write_report(Path("no/such/run"), pictures=empty, labels=empty, probabilities=empty, classes=())
    Traceback (most recent call last):
    plusx.errors.UserError: no/such/run/recipe.toml can't be read (No such file or directory); ...
    """
    files = read_files(run)
    summary = summarise(pictures, labels, probabilities, classes)
    drawings = {
        theme.name: {
            "curves": draw_curves(files, theme),
            "confusion": draw_confusion(summary, theme),
            "mistakes": draw_mistakes(summary, pictures, theme),
        }
        for theme in (LIGHT, DARK)
    }
    page = render_page(files, summary, drawings)
    contents = {run / f"{name}.png": png for name, png in drawings[LIGHT.name].items()}
    write_all(contents | {run / "report.html": page})
