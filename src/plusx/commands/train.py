"""`plusx train`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock, Timeout
from rich.console import Console

from plusx import data as pictures_room
from plusx import models as models_room
from plusx.commands.options import DataDir
from plusx.errors import UserError
from plusx.train import load_recipe


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="A shipped recipe (fast, resnet20, …) or a .toml file.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="cifar10, sample (1 000 pictures), or a directory: CIFAR-10, or a folder a class."),
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
    begin_from: Annotated[
        str | None,
        typer.Option("--from", help="Weights to begin with: a run, a weights file, or cifar10."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first picture that can't be read.")
    ] = False,
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
        fit,
        parse_setting,
        recipe_of,
        refuse_changed,
        refuse_taken,
        setting_keys,
    )

    console = Console(quiet=quiet)
    options = {
        "data.source": data,
        "model.begin_from": begin_from,
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
    dataset = pictures_room.load(
        settled.data.source,
        data_dir,
        size=settled.data.size,
        largest=max(64, models_room.summarise(settled.model.name).input_size),
        test_share=settled.data.test_share,
        seed=settled.training.seed,
        strict=strict,
        console=console,
    )
    for remark in dataset.record.get("remarks", []):
        console.print(f"note: {remark}", markup=False, highlight=False, soft_wrap=True)
    if resume is None:
        # In a file of their own, users have settled what is in pixels themselves.
        own = set(setting_keys()) - {"training.batch_size"} if (recipe or "").endswith(".toml") else set()
        settled = fit(
            settled, len(dataset.train_labels), dataset.train_images.shape[1], own | overrides.keys()
        )
    else:
        refuse_changed(run, dataset.record)
    trainer = Trainer(settled, run, dataset, Display(settled, console, choose_mode(console, quiet)))
    if resume is None:
        claim(run, settled, dataset.record)
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
