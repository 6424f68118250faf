"""`plusx predict`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import plusx
from plusx.commands.options import DeviceOption, Json
from plusx.device import resolve_device
from plusx.errors import UserError
from plusx.models import PRETRAINED
from plusx.models.weights import WEIGHTS_FILE
from plusx.text import json_text, percent, shown


def predict(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="[RUN] PICTURE",
            help="Pictures of any size: JPEG, PNG, WebP, AVIF, GIF, TIFF, BMP or PPM. Before them, if "
            "wished, a run directory or a .safetensors file; otherwise the network that comes with plusx "
            "answers.",
        ),
    ],
    device: DeviceOption = "auto",
    as_json: Json = False,
) -> None:
    """Name what is on pictures, with probabilities."""
    weights, pictures = weights_first(files)
    classifier = plusx.load(weights).to(resolve_device(device))
    answers = classifier.predict(pictures)
    if as_json:
        rows = [
            {
                "picture": str(path),
                "class": answer.name,
                "doubtful": answer.doubtful,
                "probabilities": {name: answer.probabilities[name] for name in classifier.card.classes},
            }
            for path, answer in zip(pictures, answers, strict=True)
        ]
        print(json_text(rows))
        return
    table = Table(box=None)
    table.add_column("picture", overflow="fold")
    table.add_column("class", no_wrap=True, style="bold")
    table.add_column("probability", no_wrap=True, justify="right")
    table.add_column("then")
    for path, answer in zip(pictures, answers, strict=True):
        others = list(answer.probabilities.items())[1:3]
        then = ", ".join(f"{other} {percent(less, 1)}" for other, less in others)
        mark = " [yellow]?[/yellow]" if answer.doubtful else ""
        table.add_row(
            shown(str(path)),
            shown(answer.name) + mark,
            percent(answer.probability, 1),
            shown(then),
        )
    console = Console()
    console.print(table)
    if any(answer.doubtful for answer in answers):
        console.print("[yellow]?[/yellow] looks like none of the classes")


def weights_first(files: list[Path]) -> tuple[Path | str, list[Path]]:
    """Which network, and which pictures; pictures alone are for the network that comes with the package."""
    first, *rest = files
    if first.is_dir() or first.suffix == ".safetensors" or str(first) in PRETRAINED:
        if not rest and first.is_dir() and not (first / WEIGHTS_FILE).exists():
            raise UserError(
                f"{first} is no finished run: there is no {WEIGHTS_FILE} in it; "
                f"if it holds pictures, give those: {shlex.quote(str(first))}/*.jpg"
            )
        if not rest:
            raise UserError(f"give at least one picture after {first}")
        return first, rest
    return "cifar10", files
