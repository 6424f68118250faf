"""`plusx evaluate`."""

import json
from math import isnan
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import plusx
from plusx.commands.options import DataDir, DeviceOption, Json
from plusx.commands.pictures import dataset_of, labels_of
from plusx.device import resolve_device
from plusx.inference import score


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

    classifier = plusx.load(run_or_weights).to(resolve_device(device))
    card = classifier.card
    dataset = dataset_of(run_or_weights, data, data_dir, card)
    labels = labels_of(run_or_weights, dataset, card)
    answers = classifier.probabilities(dataset.test_images)
    loss, accuracy = score(answers, labels)
    measures = by_class(confusion_matrix(labels, answers.argmax(1), len(card.classes)))
    present = {name: of for name, of in zip(card.classes, measures, strict=True) if of.pictures}
    result = {
        "pictures": len(labels),
        "test_loss": loss,
        "test_accuracy": accuracy,
        "test_accuracy_interval": wilson_interval(round(accuracy * len(labels)), len(labels)),
        "test_accuracy_tta": None
        if views == "none"
        else score(classifier.probabilities(dataset.test_images, views=views), labels)[1],
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
