"""What each choice of recipe `fast` is worth: train it with one choice taken back at a time.

    python scripts/ablations.py runs/ablations --seeds 0 1
    python scripts/ablations.py runs/ablations --publish docs/results/ablations --timed

The first form trains what is not trained yet; it can be stopped and started again. The second writes the
table from what is finished, with each run's `result.json` beside it; `--timed` if the runs had the machine to
themselves, so that their times say something.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROWS: dict[str, tuple[str, ...]] = {
    "recipe fast": (),
    "no shortcuts": ("model.residual=false",),
    "SGD instead of Muon": ("optimizer.name=sgd", "optimizer.learning_rate=0.2", "optimizer.momentum=0.9"),
    "no label smoothing": ("training.label_smoothing=0",),
    "random instead of alternating mirror": ("data.mirror=random",),
    "ReLU instead of hard swish": ("model.name=fast-relu",),
    "no changes of light": ("data.light=0",),
    "no crop": ("data.crop=0",),
    "batches of 500, rate of 0.13": ("training.batch_size=500", "optimizer.learning_rate=0.13"),
    "no small pictures first": ("training.small_epochs=0",),
    "float32": ("training.precision=float32",),
}


def folder_of(runs: Path, name: str, seed: int) -> Path:
    """Where a run lies."""
    return runs / f"{''.join(c if c.isalnum() else '-' for c in name.lower())}-seed{seed}"


def train(runs: Path, seeds: list[int]) -> None:
    """Train every row for every seed, seed by seed, so that the table is whole as early as possible."""
    for seed in seeds:
        for name, settings in ROWS.items():
            run = folder_of(runs, name, seed)
            if (run / "result.json").exists():
                continue
            options = ["--resume", str(run)]
            if not (run / "recipe.toml").exists():
                sets = [word for setting in settings for word in ("--set", setting)]
                options = ["fast", "--seed", str(seed), "--out", str(run), *sets]
            subprocess.run([sys.executable, "-m", "plusx", "train", *options], check=True)


def publish(runs: Path, target: Path, timed: bool) -> None:
    """Write the table, best reading first: the whole recipe, then what each choice brings."""
    found: dict[str, list[dict[str, Any]]] = {}
    target.mkdir(parents=True, exist_ok=True)
    for name in ROWS:
        for run in sorted(runs.glob(f"{folder_of(runs, name, 0).name[:-1]}*/result.json")):
            found.setdefault(name, []).append(json.loads(run.read_text()))
            shutil.copy(run, target / f"{run.parent.name}.json")
    whole = found["recipe fast"]
    base = {key: statistics.mean(r[key] for r in whole) for key in ("test_accuracy", "test_accuracy_tta")}
    base_seconds = statistics.mean(r["seconds"]["train"] for r in whole)
    lines = [
        "| recipe `fast` with | seeds | test accuracy | change | with views | change |"
        + " training time |" * timed,
        "| --- | --- | --- | --- | --- | --- |" + " --- |" * timed,
    ]
    for name, results in found.items():
        plain, views = (
            100 * statistics.mean(r[key] for r in results) for key in ("test_accuracy", "test_accuracy_tta")
        )
        seconds = statistics.mean(r["seconds"]["train"] for r in results)
        lines.append(
            f"| {name} | {', '.join(str(r['seed']) for r in results)} | {plain:.2f} % | "
            f"{plain - 100 * base['test_accuracy']:+.2f} | {views:.2f} % | "
            f"{views - 100 * base['test_accuracy_tta']:+.2f} |" + f" × {seconds / base_seconds:.2f} |" * timed
        )
    (target / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--publish", type=Path)
    parser.add_argument("--timed", action="store_true")
    asked = parser.parse_args()
    if asked.publish:
        publish(asked.runs, asked.publish, asked.timed)
    else:
        train(asked.runs, asked.seeds)


if __name__ == "__main__":
    main()
