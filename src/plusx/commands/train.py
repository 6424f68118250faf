"""`plusx train`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock, Timeout
from rich.console import Console

from plusx import data as pictures_room
from plusx.commands.options import DataDir
from plusx.errors import UserError
from plusx.train import load_recipe


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="A shipped recipe (fast, resnet20, …) or a .toml file.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="cifar10, sample (1 000 pictures), or a directory.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run directory; runs/RECIPE-seedN unless given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    epochs: Annotated[int | None, typer.Option(help="How many times to go through the pictures.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="auto, native, or handmade: our own arithmetic throughout.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any setting: training.batch_size=256. Repeatable."),
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this directory.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Train a network and write a run directory with curves, mistakes and a report page."""
    from plusx import report
    from plusx.train import (
        Display,
        Trainer,
        choose_mode,
        claim,
        fit_batches,
        parse_setting,
        recipe_of,
        refuse_taken,
    )

    console = Console(quiet=quiet)
    options = {
        "data.source": data,
        "training.seed": seed,
        "training.epochs": epochs,
        "training.device": device,
        "training.engine": engine,
    }
    overrides = {key: value for key, value in options.items() if value is not None}
    overrides |= dict(parse_setting(setting) for setting in settings or [])
    if resume is not None:
        if recipe is not None or out is not None or overrides:
            raise UserError(
                "--resume goes on with the run's own recipe; give no recipe, --out or settings with it"
            )
        run, settled = resume, recipe_of(resume)
    else:
        settled = load_recipe(recipe or "fast", overrides)
        run = out or _free_directory(f"{settled.name}-seed{settled.training.seed}")
        refuse_taken(run)
    dataset = pictures_room.load(settled.data.source, data_dir, console=console)
    if resume is None and "training.batch_size" not in overrides:
        settled = fit_batches(settled, len(dataset.train_labels))
    trainer = Trainer(settled, run, dataset, Display(settled, console, choose_mode(console, quiet)))
    if resume is None:
        claim(run, settled)
    try:
        with FileLock(run / ".lock", timeout=0):
            outcome = trainer.train()
            report.write_report(
                run,
                pictures=dataset.test_images,
                labels=dataset.test_labels,
                probabilities=outcome.probabilities,
                classes=dataset.classes,
            )
    except Timeout:
        raise UserError(f"another process is training in {run}") from None
    if not quiet:
        console.print(f"report: {run / 'report.html'}", highlight=False, soft_wrap=True)


def _free_directory(name: str) -> Path:
    """runs/NAME, or runs/NAME-2, -3, … where that is taken."""
    candidates = (
        Path("runs") / (name if number == 1 else f"{name}-{number}") for number in range(1, sys.maxsize)
    )
    return next(path for path in candidates if not path.exists())
