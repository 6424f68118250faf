"""What each choice of recipe `fast` is worth: train with one choice changed at a time.

    python scripts/ablations.py train runs/ablations --seeds 0 1 [--rows "no crop" "float32"]
    python scripts/ablations.py time runs/ablations
    python scripts/ablations.py publish runs/ablations

All rows change one thing in the recipe as it was before its last two choices, which are rows themselves. The
first form trains what is not trained yet; it can be stopped and started again. The second takes a few
steps of every row in turn and counts how long all of a run's would take. The third copies what the others
have left to docs/results/ablations and rewrites the table in docs/how-it-got-fast.md.
"""

import argparse
import gc
import json
import shutil
import statistics
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from results_table import rewrite
from rich.console import Console
from torch import Tensor

from plusx import ops
from plusx.bench.timing import alternate, spread, timed
from plusx.data import load
from plusx.environment import processor
from plusx.train import Display, Interrupted, Trainer, claim, load_recipe, parse_setting
from plusx.train.directory import locked
from plusx.train.display import choose_mode
from plusx.train.recipe import to_toml

DOCUMENT = Path(__file__).parents[1] / "docs" / "how-it-got-fast.md"
RESULTS = DOCUMENT.parent / "results" / "ablations"
SECONDS = "seconds.json"
SHIPPED = "both: the recipe that is shipped"
BASE = "two small epochs, linear decay"
BASE_SETTINGS = ("training.small_epochs=2", "training.small_size=20", "schedule.power=1")
CHANGES: dict[str, tuple[str, ...]] = {
    BASE: (),
    "no shortcuts": ("model.residual=false",),
    "SGD instead of Muon": ("optimizer.name=sgd", "optimizer.learning_rate=0.2", "optimizer.momentum=0.9"),
    "no label smoothing": ("training.label_smoothing=0",),
    "random instead of alternating mirror": ("data.mirror=random",),
    "ReLU instead of hard swish": ("model.name=fast-relu",),
    "no changes of light": ("data.light=0",),
    "no crop": ("data.crop=0",),
    "batches of 500, rate of 0.17": ("training.batch_size=500", "optimizer.learning_rate=0.17"),
    "float32": ("training.precision=float32",),
    "no small epochs": ("training.small_epochs=0",),
    "rates fall by the power 1.3": ("schedule.power=1.3",),
}
ROWS = {row: (*BASE_SETTINGS, *changes) for row, changes in CHANGES.items()} | {SHIPPED: ()}


def prefix(row: str) -> str:
    """What the runs of a row begin with: its name in letters that a file may have."""
    return f"{''.join(c if c.isalnum() else '-' for c in row.lower())}-seed"


def train(runs: Path, seeds: list[int], rows: list[str]) -> None:
    """Train these rows for every seed, seed by seed, so that the table is whole as early as possible.

    One process trains them all, since on a GPU a process takes longer to begin than a run to end, and each is
    measured after its last epoch only.
    """
    dataset, console = load("cifar10"), Console()
    only_last = {"evaluation.every": load_recipe("fast").training.epochs}
    for seed in seeds:
        for row in rows:
            run = runs / f"{prefix(row)}{seed}"
            chosen = {"training.seed": seed, **only_last, **dict(map(parse_setting, ROWS[row]))}
            recipe = load_recipe("fast", chosen)
            with locked(run):
                if not (run / "recipe.toml").exists():
                    claim(run, recipe)
                elif (run / "recipe.toml").read_text(encoding="utf-8") != to_toml(recipe):
                    sys.exit(f"{run} is a run of another recipe; move it away")
                if (run / "result.json").exists():
                    continue
                console.rule(f"{row}, seed {seed}")
                display = Display(recipe, console, choose_mode(console, quiet=False))
                try:
                    Trainer(recipe, run, dataset, display).train()
                except Interrupted:
                    sys.exit("stopped; the same command goes on from here")
            gc.collect()  # a step that a GPU recorded keeps its memory until then


def time_steps(runs: Path, rounds: int = 5) -> None:
    """Time a step of every row at every size, in turn, and write `seconds.json`: what a run's steps take.

    Minibatches are made beforehand; augmenting them is not in it.
    """
    dataset = load("cifar10")
    calls: dict[tuple[str, int], partial[float]] = {}
    counts: dict[tuple[str, int], int] = {}
    for row, settings in ROWS.items():
        recipe = load_recipe("fast", dict(map(parse_setting, settings)))
        trainer = Trainer(recipe, runs, dataset, Display(recipe, Console(), "quiet"))
        trainer.step = trainer._make_step()
        epochs = range(recipe.training.epochs)
        sides = [trainer.plan.side(epoch) for epoch in epochs]
        for side in dict.fromkeys(sides):
            minibatch = next(trainer.minibatches.epoch(sides.index(side), 0))
            calls[row, side] = partial(timed, partial(_step, trainer, *minibatch), trainer.device)
            counts[row, side] = sides.count(side) * trainer.plan.steps_per_epoch
    seconds = dict.fromkeys(ROWS, 0.0)
    for (row, side), times in alternate(calls, rounds).items():
        seconds[row] += counts[row, side] * spread(times).median
    facts = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "processor": processor(), "rounds": rounds}
    runs.mkdir(parents=True, exist_ok=True)
    rounded = {row: round(value, 1) for row, value in seconds.items()}
    (runs / SECONDS).write_text(json.dumps({**facts, "seconds": rounded}, indent=2) + "\n", encoding="utf-8")


def _step(trainer: Trainer, pictures: Tensor, labels: Tensor) -> None:
    with ops.engine(trainer.recipe.training.engine):
        trainer._step(pictures, labels, len(labels))


def publish(runs: Path) -> None:
    """Keep each finished run's result and the times, and show them all."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    if (runs / SECONDS).exists():
        shutil.copyfile(runs / SECONDS, RESULTS / SECONDS)
    results = {}
    for row, by_seed in _results(RESULTS).items():
        for file in runs.glob(f"{prefix(row)}*/result.json"):
            result = json.loads(file.read_text(encoding="utf-8"))
            facts = json.loads(file.with_name("environment.json").read_text(encoding="utf-8"))
            by_seed[str(result["seed"])] = result | {"machine": f"{facts['device']}, {facts['processor']}"}
        results[row] = dict(sorted(by_seed.items(), key=lambda item: int(item[0])))
    (RESULTS / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    rewrite(DOCUMENT, table(RESULTS))


def table(results: Path) -> str:
    """The base, then what each change makes of it.

    Means and standard deviations over the seeds, in per cent; changes are means over the seeds that both rows
    have. And what all steps of a run take.
    """
    timing = results / SECONDS
    seconds = json.loads(timing.read_text(encoding="utf-8"))["seconds"] if timing.exists() else {}
    measured = _results(results)
    lines = [
        "| recipe | seeds | test accuracy | change | with views | change | all steps take |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row, by_seed in measured.items():
        cells = [f"{len(by_seed)}" if by_seed else "–"]
        for key in ("test_accuracy", "test_accuracy_tta"):
            values = [100 * result[key] for result in by_seed.values()]
            changes = [
                100 * (by_seed[seed][key] - base[key])
                for seed, base in measured[BASE].items()
                if seed in by_seed
            ]
            deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.2f}{deviation} %" if values else "–")
            cells.append(f"{statistics.mean(changes):+.2f}" if changes and row != BASE else "–")
        cells.append(f"{seconds[row]:.0f} s" if row in seconds else "–")
        lines.append(f"| {' | '.join([row, *cells])} |")
    return "\n".join(lines)


def _results(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """What is known of each row, by seed."""
    file = folder / "results.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return {row: known.get(row, {}) for row in ROWS}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["train", "time", "publish"])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW")
    asked = parser.parse_args()
    if asked.what == "train":
        train(asked.runs, asked.seeds, asked.rows)
    elif asked.what == "time":
        time_steps(asked.runs)
    else:
        publish(asked.runs)


if __name__ == "__main__":
    main()
