"""`plusx explain`."""

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import plusx
from plusx.commands.options import DeviceOption, Json
from plusx.commands.predict import weights_first
from plusx.console import counting, say
from plusx.device import resolve_device
from plusx.errors import UserError
from plusx.text import json_text, percent, shown


def explain(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="[RUN] PICTURE",
            help="Pictures of any size and format that Pillow reads. Before them, if wished, a run directory "
            "or a .safetensors file; otherwise the network that comes with plusx answers.",
        ),
    ],
    class_name: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Explain this class, not the answer.")
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAGE:ROW,COLUMN",
            help="Show what this unit sees, such as stage2:3,4, instead of the one that fires most; once a "
            "stage.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A new or empty folder; explanations, explanations-2, … unless given."),
    ] = None,
    device: DeviceOption = "auto",
    as_json: Json = False,
) -> None:
    """Show why a network answers as it does: Grad-CAM, integrated gradients, maps, receptive fields."""
    from plusx.explain import explain as explain_one
    from plusx.explain import write
    from plusx.explain.output import PAGE, choose_folder
    from plusx.explain.wording import numbers

    weights, pictures = weights_first(files)
    pictures = list(dict.fromkeys(pictures))
    places = dict(map(_place, unit or []))
    folder = choose_folder(out)
    classifier = plusx.load(weights).to(resolve_device(device))
    images = classifier.read(pictures)
    explanations = {}
    with counting(Console(stderr=True), "explaining", len(pictures)) as show:
        for done, (path, image) in enumerate(zip(pictures, images, strict=True), 1):
            explanations[path] = explain_one(classifier, image, class_name=class_name, places=places)
            show(done)
    written = write(folder, explanations, classifier.card)
    if as_json:
        rows = [
            {"picture": str(path), "file": str(written[path]), **numbers(explanation)}
            for path, explanation in explanations.items()
        ]
        print(json_text(rows))
        return
    table = Table(box=None)
    table.add_column("picture", overflow="fold")
    table.add_column("class", no_wrap=True, style="bold")
    table.add_column("probability", no_wrap=True, justify="right")
    table.add_column("explained", no_wrap=True)
    table.add_column("explanation", overflow="fold")
    for path, explanation in explanations.items():
        answer = explanation.answer
        table.add_row(
            shown(str(path)),
            shown(answer.name) + (" [yellow]?[/yellow]" if answer.doubtful else ""),
            percent(answer.probability, 1),
            shown(explanation.class_name),
            shown(str(written[path])),
        )
    console = Console()
    console.print(table)
    if any(explanation.answer.doubtful for explanation in explanations.values()):
        console.print("[yellow]?[/yellow] looks like none of the classes")
    say(console, f"all on one page: {folder / PAGE}")


def _place(text: str) -> tuple[str, tuple[int, int]]:
    """A unit's stage, and its row and column.

    >>> _place("stage2:3,4")
    ('stage2', (3, 4))
    """
    match = re.fullmatch(r"(\w+):(\d+),(\d+)", text)
    if not match:
        raise UserError(f"--unit is STAGE:ROW,COLUMN, such as stage2:3,4, not {text!r}")
    return match[1], (int(match[2]), int(match[3]))
