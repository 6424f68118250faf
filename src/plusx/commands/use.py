"""`plusx evaluate` and `plusx predict`: what a trained network is good for."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

import plusx
from plusx import data as pictures_room
from plusx import models as models_room
from plusx.commands.options import DataDir, DeviceOption, Json
from plusx.errors import UserError


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
