"""The command line: reads what the user wants, calls the rooms, prints what they say."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from filelock import FileLock, Timeout
from rich.console import Console
from rich.table import Table
from typer.exceptions import TyperException

import plusx
from plusx import data as pictures_room
from plusx import models as models_room
from plusx.bench.commands import app as bench_app
from plusx.errors import UserError
from plusx.lab.commands import app as lab_app
from plusx.train import Interrupted, load_recipe

app = typer.Typer(
    name="plusx",
    help="CNNs and ResNets by hand: train, measure and use them. [bold]y = F(x) + x[/bold]",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Fetch, verify and describe CIFAR-10.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(lab_app, name="lab")
app.add_typer(bench_app, name="bench")

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where CIFAR-10 lies or is fetched to; the user's cache unless given."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _version(asked: bool) -> None:
    if asked:
        print(f"plusx {plusx.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options before the command's name; `--debug` is read in `main`, where errors end."""


@app.command()
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


@app.command()
def evaluate(
    run_or_weights: Annotated[Path, typer.Argument(help="A run directory or a .safetensors file.")],
    data: Annotated[str, typer.Option(help="cifar10, sample, or a directory.")] = "cifar10",
    views: Annotated[
        Literal["none", "mirror", "shift"],
        typer.Option(help="Test-time views, shown beside the plain accuracy."),
    ] = "mirror",
    device: DeviceOption = "auto",
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Measure a trained network on a test set: accuracy, loss, and accuracy by class."""
    from plusx.train import predict, resolve_device, resolve_precision, score

    place = resolve_device(device)
    model = models_room.load(run_or_weights).to(place)
    dataset = pictures_room.load(data, data_dir, console=Console(stderr=True))
    card: models_room.Card = model.card  # type: ignore[assignment]
    if dataset.classes != card.classes:
        raise UserError(f"{run_or_weights} knows the classes {', '.join(card.classes)}; {data} has others")
    precision = resolve_precision("auto", place)
    with plusx.engine("native"):  # all engines agree, and this one is the quickest to start
        by_views = {
            v: predict(model, dataset.test_images, card, views=v, device=place, precision=precision)
            for v in dict.fromkeys(("none", views))
        }
    plain = by_views["none"]
    loss, accuracy = score(plain, dataset.test_labels)
    accuracy_seen = None if views == "none" else score(by_views[views], dataset.test_labels)[1]
    right = plain.argmax(1).numpy() == dataset.test_labels
    by_class = {name: float(right[dataset.test_labels == i].mean()) for i, name in enumerate(card.classes)}
    result = {
        "pictures": len(right),
        "test_loss": loss,
        "test_accuracy": accuracy,
        "test_accuracy_tta": accuracy_seen,
        "by_class": by_class,
    }
    if as_json:
        print(json.dumps(result, indent=2))
        return
    table = Table(
        title=f"{run_or_weights} on {len(right):,} test pictures of {data}", title_justify="left", box=None
    )
    table.add_column("")
    table.add_column("accuracy", justify="right")
    table.add_row("all", f"{100 * accuracy:.2f} %", style="bold")
    if accuracy_seen is not None:
        table.add_row(f"all, {views} views", f"{100 * accuracy_seen:.2f} %")
    for name, share in by_class.items():
        table.add_row(name, f"{100 * share:.1f} %")
    Console().print(table)


@app.command()
def predict(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="[RUN] PICTURE",
            help="Pictures of any size and format that Pillow reads. Before them, if wished, a run directory "
            "or a .safetensors file; otherwise the network that comes with plusx answers.",
        ),
    ],
    device: DeviceOption = "auto",
    as_json: Json = False,
) -> None:
    """Name what is on pictures, with probabilities."""
    import numpy as np

    from plusx.data.picture import read_picture
    from plusx.train import predict as probabilities_of
    from plusx.train import resolve_device, resolve_precision

    weights, pictures = _weights_first(files)
    place = resolve_device(device)
    model = models_room.load(weights).to(place)
    card: models_room.Card = model.card  # type: ignore[assignment]
    images = np.stack([read_picture(path, card.input_size) for path in pictures])
    precision = resolve_precision("auto", place)
    with plusx.engine("native"):
        rows = probabilities_of(model, images, card, device=place, precision=precision).tolist()
    answers = [
        {
            "picture": str(path),
            "class": card.classes[row.index(max(row))],
            "doubtful": max(row) < card.doubt,
            "probabilities": dict(zip(card.classes, row, strict=True)),
        }
        for path, row in zip(pictures, rows, strict=True)
    ]
    if as_json:
        print(json.dumps(answers, indent=2, ensure_ascii=False))
        return
    table = Table(box=None)
    table.add_column("picture", overflow="fold")
    table.add_column("class", no_wrap=True, style="bold")
    table.add_column("probability", no_wrap=True, justify="right")
    table.add_column("then")
    for answer in answers:
        (name, share), *others = sorted(answer["probabilities"].items(), key=lambda item: -item[1])
        then = ", ".join(f"{other} {100 * less:.1f} %" for other, less in others[:2])
        mark = " [yellow]?[/yellow]" if answer["doubtful"] else ""
        table.add_row(answer["picture"], name + mark, f"{100 * share:.1f} %", then)
    console = Console()
    console.print(table)
    if any(answer["doubtful"] for answer in answers):
        console.print("[yellow]?[/yellow] looks like none of the classes")


def _weights_first(files: list[Path]) -> tuple[Path | str, list[Path]]:
    """Which network, and which pictures; pictures alone are for the network that comes with the package."""
    first, *rest = files
    if first.is_dir() or first.suffix == ".safetensors" or str(first) in models_room.PRETRAINED:
        if not rest:
            raise UserError(f"give at least one picture after {first}")
        return first, rest
    return "cifar10", files


@app.command()
def models(as_json: Json = False) -> None:
    """List the networks: layers, parameters, multiply-adds, receptive field, as measured on each."""
    from dataclasses import asdict

    from plusx.models.registry import plain_name

    residual = [name for name in models_room.model_names() if "plain" not in name]
    summaries = [models_room.summarise(name) for name in residual]
    if as_json:
        print(json.dumps([asdict(s) for s in summaries], indent=2))
        return
    table = Table(box=None)
    for title in ("model", "plain twin"):
        table.add_column(title, no_wrap=True)
    for title in ("layers", "parameters", "multiply-\nadds", "receptive\nfield", "made for"):
        table.add_column(title, justify="right", no_wrap=True)
    for s in summaries:
        table.add_row(
            s.name,
            plain_name(s.name),
            str(s.layers),
            f"{s.parameters:,}",
            f"{s.multiply_adds / 1e6:,.0f} M",
            f"{s.receptive_field} px",
            f"{s.input_size}×{s.input_size}",
        )
    Console().print(table)


@data_app.command("fetch")
def data_fetch(data_dir: DataDir = None) -> None:
    """Bring CIFAR-10 into the cache, from the first source that serves it, and verify it."""
    console = Console()
    batches = pictures_room.fetch(data_dir, console=console)
    where = sorted({str(batch.where) for batch in batches.values()})
    console.print(f"CIFAR-10 is whole: {len(batches)} batches in {where[0]}", highlight=False, soft_wrap=True)


@data_app.command("verify")
def data_verify(data_dir: DataDir = None) -> None:
    """Check every batch's content against its published hash."""
    faulty = 0
    for name, batch in pictures_room.verify(data_dir).items():
        fault = "missing" if batch is None else batch.fault
        print(f"{name}  {fault or 'whole'}")
        faulty += fault is not None
    if faulty:
        raise UserError(
            f"{faulty} of {len(pictures_room.BATCHES)} batches are not whole; mend them: plusx data fetch"
        )


@data_app.command("info")
def data_info(data_dir: DataDir = None) -> None:
    """Say where CIFAR-10 lies, how many pictures of each class it has, and their channel statistics."""
    print(pictures_room.info(data_dir))


def _fail(message: str) -> NoReturn:
    print(f"plusx: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(2)


def main() -> None:
    """Run the command line; a user's error is one line on standard error and exit code 2."""
    debug = "--debug" in sys.argv
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        if debug:
            raise
        _fail(str(error))
    except Interrupted as stopped:
        print(f"stopped; go on with: {stopped.again}", file=sys.stderr)
        raise SystemExit(128 + stopped.signal) from None
    except TyperException as error:
        _fail(error.format_message())
    except OSError as error:  # a full disk, a folder that became unwritable: nothing half-written is left
        if debug:
            raise
        _fail(f"{error.filename or 'writing'}: {error.strerror or error}")
    except (typer.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    if isinstance(code, int) and code:  # what a command left by `typer.Exit`
        raise SystemExit(code)


if __name__ == "__main__":
    main()
