"""`plusx evaluate` and `plusx predict`: what a trained network is good for."""

import json
from math import isnan
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import plusx
from plusx import data as pictures_room
from plusx import models as models_room
from plusx.commands.options import DataDir, DeviceOption, Json
from plusx.errors import UserError


def evaluate(
    run_or_weights: Annotated[Path, typer.Argument(help="A run directory or a .safetensors file.")],
    data: Annotated[
        str | None,
        typer.Option(help="cifar10, sample, or a directory; what the run was trained on unless given."),
    ] = None,
    views: Annotated[
        Literal["none", "mirror", "shift"],
        typer.Option(help="Test-time views, shown beside the plain accuracy."),
    ] = "mirror",
    device: DeviceOption = "auto",
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Measure a trained network on a test set: accuracy, calibration, and precision and recall by class."""
    from plusx.report.measures import by_class, calibration_error, top
    from plusx.report.summary import confusion_matrix, wilson_interval
    from plusx.train import predict, resolve_device, resolve_precision, score

    place = resolve_device(device)
    model = models_room.load(run_or_weights).to(place)
    card: models_room.Card = model.card  # type: ignore[assignment]
    dataset = _test_set(run_or_weights, data, data_dir, card)
    unknown = [name for name in dataset.classes if name not in card.classes]
    if unknown:
        raise UserError(f"{run_or_weights} knows {', '.join(card.classes)}, but not {', '.join(unknown)}")
    labels = np.array([card.classes.index(name) for name in dataset.classes])[dataset.test_labels]
    precision = resolve_precision("auto", place)
    with plusx.engine("native"):  # all engines agree, and this one is the quickest to start
        by_views = {
            v: predict(model, dataset.test_images, card, views=v, device=place, precision=precision)
            for v in dict.fromkeys(("none", views))
        }
    plain = by_views["none"]
    loss, accuracy = score(plain, labels)
    answers = plain.numpy()
    measures = by_class(confusion_matrix(labels, answers.argmax(1), len(card.classes)))
    present = {name: of for name, of in zip(card.classes, measures, strict=True) if of.pictures}
    result = {
        "pictures": len(labels),
        "test_loss": loss,
        "test_accuracy": accuracy,
        "test_accuracy_interval": wilson_interval(round(accuracy * len(labels)), len(labels)),
        "test_accuracy_tta": None if views == "none" else score(by_views[views], labels)[1],
        "top5_accuracy": top(labels, answers, 5) if len(card.classes) > 5 else None,
        "calibration_error": calibration_error(labels, answers),
        "by_class": {name: of.recall for name, of in present.items()},
        "classes": {name: _without_nan(of._asdict()) for name, of in present.items()},
    }
    if as_json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
        return
    console = Console()
    title = f"{run_or_weights} on {len(labels):,} test pictures of {dataset.name}"
    console.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
    for table in _tables(result, views):
        console.print(table)


def _without_nan(values: dict[str, float]) -> dict[str, float | None]:
    """JSON has no NaN: where there was nothing to divide by stands null."""
    return {key: None if isnan(value) else value for key, value in values.items()}


def _tables(result: dict[str, Any], views: str) -> tuple[Table, Table]:
    """The whole test set, then class by class."""
    whole = Table(box=None, show_header=False)
    low, high = (100 * end for end in result["test_accuracy_interval"])
    rows = {
        "accuracy": (result["test_accuracy"], f"95 % interval {low:.1f} … {high:.1f} %"),
        f"with {views} views": (result["test_accuracy_tta"], ""),
        "among the first five": (result["top5_accuracy"], ""),
        "calibration error": (result["calibration_error"], "confidence less accuracy, in size"),
    }
    for name, (share, note) in rows.items():
        if share is not None:
            whole.add_row(name, f"{100 * share:.2f} %", note)
    classes = Table(box=None)
    for column in ("class", "pictures", "precision", "recall", "F1"):
        classes.add_column(column, justify="left" if column == "class" else "right")
    for name, of in result["classes"].items():
        shares = (of[key] for key in ("precision", "recall", "f1"))
        cells = ("–" if share is None else f"{100 * share:.1f} %" for share in shares)
        classes.add_row(escape(name), f"{of['pictures']:,}", *cells)
    return whole, classes


def _test_set(
    run_or_weights: Path, data: str | None, data_dir: Path | None, card: models_room.Card
) -> pictures_room.Dataset:
    """The test pictures of `data`: for the folder that the run was trained on, those it has not seen."""
    from plusx.train import load_recipe

    written = run_or_weights / "recipe.toml"
    recipe = load_recipe(str(written)) if written.exists() else load_recipe("fast")
    source = data or recipe.data.source
    its_own = Path(source).resolve() == Path(recipe.data.source).resolve()
    return pictures_room.load(
        source,
        data_dir,
        size=card.input_size,
        test_share=recipe.data.test_share if its_own else 1.0,
        seed=recipe.training.seed,
        console=Console(stderr=True),
    )


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
