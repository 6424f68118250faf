"""A run directory as the training leaves it, with figures that could be true."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from rich.console import Console

from plusx.report import write_report
from plusx.train import load_recipe
from tests.conftest import write_metrics, write_run

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class FakeRun(NamedTuple):
    """A run directory and the arrays that `write_report` wants with it."""

    directory: Path
    arrays: dict[str, Any]

    def write(self) -> str:
        """Write the report and return its page."""
        write_report(self.directory, **self.arrays)
        return (self.directory / "report.html").read_text(encoding="utf-8")

    def change_result(self, **changes: Any) -> None:
        path = self.directory / "result.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    def change_metrics(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Replace each line of `metrics.jsonl` by what `change` makes of it."""
        rows = map(json.loads, (self.directory / "metrics.jsonl").read_text().splitlines())
        write_metrics(self.directory, [change(row) for row in rows])


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., FakeRun]:
    """Make a run of some epochs on 400 random pictures, of which every `wrong_every`-th is named wrong."""

    def make(epochs: int = 4, classes: Sequence[str] = CIFAR10, wrong_every: int | None = 10) -> FakeRun:
        random = np.random.default_rng(0)
        count, number = 400, len(classes)
        labels = np.arange(count) % number
        answers = labels.copy()
        if wrong_every:
            answers[::wrong_every] = (answers[::wrong_every] + 1) % number
        probabilities = random.uniform(0, 0.4 / number, (count, number)).astype(np.float32)
        probabilities[np.arange(count), answers] = random.uniform(0.5, 1, count)
        accuracy = float((answers == labels).mean())
        directory = tmp_path_factory.mktemp("run")
        recipe = load_recipe("fast", {"training.epochs": epochs, "training.seed": 3})
        write_run(directory, recipe, accuracy, test_accuracy_tta=0.9375)
        console = Console(record=True, width=90, file=io.StringIO(), highlight=False)
        console.print("[bold]epoch 8/8[/bold]  <done> & dusted")
        console.save_svg(str(directory / "terminal.svg"), title="plusx train")
        pictures = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        return FakeRun(
            directory,
            {"pictures": pictures, "labels": labels, "probabilities": probabilities, "classes": classes},
        )

    return make


@pytest.fixture(scope="session")
def finished(make_run: Callable[..., FakeRun]) -> FakeRun:
    """A run with its report, for tests that only look."""
    run = make_run()
    run.write()
    return run
