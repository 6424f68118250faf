"""`plusx train`."""

import itertools
import signal
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from plusx import data as data_room
from plusx import models as models_room
from plusx.commands.options import DataDir
from plusx.console import say
from plusx.errors import UserError
from plusx.train import (
    Display,
    Interrupted,
    Processes,
    Trainer,
    choose_mode,
    claim,
    fit,
    joined,
    leave,
    load_recipe,
    locked,
    parse_setting,
    recipe_of,
    refuse_changed,
    refuse_taken,
    resume_command,
    scaled,
    settled_in,
    started,
    to_toml,
)


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="A shipped recipe (fast, resnet20, …) or a .toml file.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="cifar10, sample (1 000 pictures), a directory (CIFAR-10, or a folder a class), or shards: "
            "'DIR/train-{000..099}.tar'."
        ),
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
    freeze: Annotated[
        str | None,
        typer.Option(help="Keep the weights as they begin from the input up to this stage: stem, stage1, …."),
    ] = None,
    log: Annotated[
        str | None, typer.Option(help="tensorboard: keep its event files in the run, beside metrics.jsonl.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this directory.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Train a network and write a run directory with curves, mistakes and a report page.

    Several processes train one run together when torchrun starts them; see docs/distributed.md.
    """
    options = {
        "data.source": data,
        "model.begin_from": begin_from,
        "model.freeze": freeze,
        "training.seed": seed,
        "training.epochs": epochs,
        "training.device": device,
        "training.engine": engine,
        "training.log": log,
    }
    overrides = {key: value for key, value in options.items() if value is not None}
    overrides |= dict(parse_setting(setting) for setting in settings or [])
    if resume is not None and (recipe is not None or out is not None or overrides):
        raise UserError(
            "--resume goes on with the run's own recipe; give no recipe, --out or settings with it"
        )
    processes = started()
    if processes.several and out is None and resume is None:
        raise UserError("several processes train together: say where the run is to be, --out DIR")
    with joined(processes):
        if processes.restarted and out is not None and (out / "recipe.toml").exists():
            resume = out
        console = Console(quiet=quiet or not processes.leads)
        _train(recipe, overrides, out, resume, strict, data_dir, console, processes)
    if processes.several:
        leave()


def _train(
    name: str | None,
    overrides: dict[str, Any],
    out: Path | None,
    resume: Path | None,
    strict: bool,
    data_dir: Path | None,
    console: Console,
    processes: Processes,
) -> None:
    """Begin a run, or go on with one, and report on it."""
    from plusx.report import write_report

    if resume is not None:
        run, recipe = resume, recipe_of(resume)
    else:
        recipe = load_recipe(name or "fast", overrides)
        run = out or _free_directory(f"{recipe.name}-seed{recipe.training.seed}", console)
        if processes.leads:
            refuse_taken(run)
    dataset = data_room.load(
        recipe.data.source,
        data_dir,
        test=recipe.data.test,
        size=recipe.data.size,
        largest=max(64, models_room.summarise(recipe.model.name).input_size),
        test_share=recipe.data.test_share,
        seed=recipe.training.seed,
        strict=strict,
        console=console,
    )
    for remark in dataset.record.get("remarks", []):
        say(console, f"note: {remark}")
    if resume is None:
        feed, chosen = dataset.feed(torch.device("cpu")), overrides.keys() | settled_in(name or "fast")
        recipe = scaled(fit(recipe, feed.pictures, feed.size, chosen), processes.count)
    elif processes.leads:
        refuse_changed(run, dataset.record)
    _refuse_others(processes, f"{to_toml(recipe)}\n{dataset.record.get('content')}")
    display = Display(recipe, console, choose_mode(console, console.quiet))
    trainer = Trainer(recipe, run, dataset, display, processes=processes)
    if not processes.leads:
        try:
            trainer.train()
        except Interrupted as stopped:  # the leader says how to go on
            raise typer.Exit(128 + stopped.signal) from None
        return
    again = resume_command(run, data_dir, strict)
    with locked(run):
        if resume is None:
            claim(run, recipe, dataset.record)
        say(console, f"run directory: {run}")
        try:
            outcome = trainer.train()
            write_report(
                run,
                pictures=dataset.test_images,
                labels=dataset.test_labels,
                probabilities=outcome.probabilities,
                classes=dataset.classes,
            )
        except OSError as error:  # a full disk, a folder that became read-only
            raise UserError(
                f"{error.filename or run}: {error.strerror or error}; mend that, then go on with: {again}"
            ) from error
        except Interrupted as stopped:
            raise Interrupted(run, stopped.signal, again) from None
        except KeyboardInterrupt:  # in haste, or while the finished network is measured
            raise Interrupted(run, signal.SIGINT, again) from None
    say(console, f"report: {run / 'report.html'}")


def _refuse_others(processes: Processes, trained: str) -> None:
    """Make sure that all processes train by one recipe on the same pictures: each reads its own machine's."""
    leader = processes.from_leader(trained.encode())
    if leader != trained.encode():
        raise UserError(
            f"process {processes.number} has another recipe or other pictures than the first one; "
            "copy both to every machine"
        )


def _free_directory(name: str, console: Console) -> Path:
    """runs/NAME, or runs/NAME-2, -3, … where that is taken; says so where what takes it is unfinished."""
    for number in itertools.count(1):
        run = Path("runs") / (name if number == 1 else f"{name}-{number}")
        if not run.exists():
            break
        if (run / "recipe.toml").exists() and not (run / "report.html").exists():
            again = resume_command(run)
            say(console, f"note: {run} is unfinished, and this is a new run; to go on with that one: {again}")
    return run
