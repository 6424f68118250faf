"""How the seconds and the memory of training grow: with the batch, with the pictures, with the depth."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console

from plusx.bench.steps import OURS, step_memory, timed_step, ways
from plusx.bench.timing import alternate, spread
from plusx.data import CLASSES, Dataset, sample
from plusx.device import keep_memory
from plusx.models.cifar import DEPTHS
from plusx.train import Display, Interrupted, Trainer, load_recipe

NETWORK, SIZE = "fast", 32
BATCHES = (125, 250, 500, 1000, 2000)
PICTURES, EPOCH_BATCH = (500, 1000, 2000, 5000), 250
DEPTH_BATCH = 128


@dataclass(frozen=True)
class Line:
    """What measurements have in common: a fixed part, and a part for each picture or layer.

    >>> Line(fixed=1.0, each=0.5).at(4)
    3.0
    """

    fixed: float
    each: float

    def at(self, x: float) -> float:
        """The value on the line."""
        return self.fixed + self.each * x


def fit_line(x: Sequence[float], y: Sequence[float]) -> Line:
    """The line through measurements y at x > 0, by least squares of y / x.

    Noise grows with the work: in plain least squares that of the largest point would drown the fixed part.

    >>> fit_line([1, 2, 4], [12.0, 14.0, 18.0])
    Line(fixed=10.0, each=2.0)
    """
    at = np.array(x, float)
    terms = np.stack([1 / at, np.ones_like(at)], axis=1)
    fixed, each = np.linalg.lstsq(terms, np.array(y, float) / at, rcond=None)[0]
    return Line(float(f"{fixed:.4g}"), float(f"{each:.4g}"))  # what is known of them, no more


def bench_growth(rounds: int = 3, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Measure training, as it is by default, at several sizes of each kind, and fit lines.

    `batch`: a step of the fast network over the pictures in it. `depth`: a step of the CIFAR ResNets over
    their layers. `pictures`: an epoch of training over the pictures in it.

    Returns:
        For each kind `x`, the name of what grows; `rows`, with that number, `seconds` (median and quartiles)
        and, for steps, `peak_memory_bytes`; and `fit`, for each of the two the line (`fixed` and `each`) and
        `largest_error`, how far a point is from it, as a share of the point.
    """
    keep_memory()
    batches = {N: (NETWORK, N) for N in BATCHES}
    depths = {depth: (f"resnet{depth}", DEPTH_BATCH) for depth in DEPTHS}
    return {
        "batch": {"network": NETWORK, **_fitted("pictures", _steps("pictures", batches, rounds, say))},
        "depth": {"batch": DEPTH_BATCH, **_fitted("layers", _steps("layers", depths, rounds, say))},
        "pictures": {
            "network": NETWORK,
            "batch": EPOCH_BATCH,
            **_fitted("pictures", _epochs(rounds, say)),
        },
    }


def epoch_seconds(pictures: int, batch: int, epochs: int) -> list[float]:
    """Seconds of each epoch of the recipe `fast` on so many pictures, all of them seen at full size.

    It is the training loop itself, with its feed, augmentation and optimisers, but for its evaluation and
    checkpoints, which it does not count. The sample's pictures come again and again.
    """
    settings = {"training.epochs": epochs, "training.batch_size": batch, "training.device": "cpu"}
    recipe = load_recipe("fast", {**settings, "data.source": "sample", "evaluation.views": "none"})
    images, labels = sample("train")
    again = np.arange(pictures) % len(labels)
    dataset = Dataset("sample", CLASSES, images[again], labels[again], *sample("test"))
    with TemporaryDirectory() as run:
        try:
            Trainer(recipe, Path(run), dataset, Display(recipe, Console(), "quiet")).train()
        except Interrupted:
            raise KeyboardInterrupt from None  # nobody goes on with such a run
        lines = (Path(run) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["seconds_train"] for line in lines]


def _epochs(rounds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    rows = []
    for pictures in PICTURES:
        say(f"epochs of {pictures:,} pictures")
        rows.append(_row("pictures", pictures, epoch_seconds(pictures, EPOCH_BATCH, epochs=rounds)))
    return rows


def _steps(
    x: str, cases: Mapping[int, tuple[str, int]], rounds: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """A row for each network and number of pictures."""
    say(f"steps by {x}")
    way = ways()[OURS]
    times = alternate({str(n): timed_step(*case, SIZE, way) for n, case in cases.items()}, rounds)
    rows = []
    for n, case in cases.items():
        say(f"memory by {x}: {n}")
        rows.append(_row(x, n, times[str(n)]) | {"peak_memory_bytes": step_memory(*case, SIZE, way)})
    return rows


def _row(x: str, n: int, seconds: list[float]) -> dict[str, Any]:
    return {x: n, "seconds": [round(v, 4) for v in spread(seconds)]}


def _fitted(x: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    at = [row[x] for row in rows]
    measured = {"seconds": [row["seconds"][0] for row in rows]}
    if "peak_memory_bytes" in rows[0]:
        measured["peak_memory_bytes"] = [row["peak_memory_bytes"] for row in rows]
    fit = {}
    for key, values in measured.items():
        line = fit_line(at, values)
        errors = [abs(line.at(n) / value - 1) for n, value in zip(at, values, strict=True) if value]
        fit[key] = asdict(line) | {"largest_error": round(max(errors, default=0.0), 3)}
    return {"x": x, "rows": rows, "fit": fit}
