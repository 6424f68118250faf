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
        write_run_files(directory, epochs, accuracy)
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


def write_run_files(directory: Path, epochs: int, accuracy: float) -> None:
    """Write recipe, metrics, result, environment and terminal of a run that ends at `accuracy`."""
    (directory / "recipe.toml").write_text(
        '[model]\nname = "cifar_fast"\n\n[optimizer]\nlearning_rate = 0.24\n'
    )
    write_metrics(directory, [epoch_row(epoch, epochs, accuracy) for epoch in range(1, epochs + 1)])
    result = {
        "recipe": "fast",
        "model": "cifar_fast",
        "parameters": 6573120,
        "epochs": epochs,
        "seed": 3,
        "engine": "native",
        "device": "cpu",
        "test_accuracy": accuracy,
        "test_accuracy_tta": 0.9375,
        "train_accuracy": 0.9512,
        "seconds": {"setup": 3.2, "compile": 21.5, "train": 418.6, "evaluate": 39.9, "total": 483.2},
        "images_per_second": 907.4,
        "peak_memory_bytes": 3456789012,
        "plusx_version": "0.1.0",
        "torch_version": "2.13.0",
    }
    (directory / "result.json").write_text(json.dumps(result))
    environment = {"python": "3.11.2", "torch": "2.13.0", "plusx": "0.1.0", "platform": "Linux", "threads": 2}
    (directory / "environment.json").write_text(json.dumps(environment))
    console = Console(record=True, width=90, file=io.StringIO(), highlight=False)
    console.print("[bold]epoch 8/8[/bold]  <done> & dusted")
    console.save_svg(str(directory / "terminal.svg"), title="plusx train")


def epoch_row(epoch: int, epochs: int, accuracy: float) -> dict[str, Any]:
    """A line of `metrics.jsonl`; accuracies rise to `accuracy` in the last epoch."""
    left = (epochs - epoch) / epochs
    return {
        "epoch": epoch,
        "epochs": epochs,
        "step": 50 * epoch,
        "learning_rate": 0.24 * left,
        "train_loss": 1.0 + left,
        "train_accuracy": 0.95 - 0.6 * left**2,
        "test_loss": 1.1 + left,
        "test_accuracy": accuracy - 0.5 * left**2,
        "validation_loss": None,
        "validation_accuracy": None,
        "seconds_train": 55.1,
        "seconds_evaluate": 4.9,
        "images_per_second": 907.0,
    }


def write_metrics(directory: Path, rows: Sequence[dict[str, Any]]) -> None:
    (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
