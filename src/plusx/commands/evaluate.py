"""`plusx evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import plusx
from plusx.commands.options import DataDir, DeviceOption, Force, Json
from plusx.commands.output import refuse_page
from plusx.commands.pictures import dataset_of, labels_of, remarks_on
from plusx.console import counting, say
from plusx.device import resolve_device, resolve_precision
from plusx.environment import environment
from plusx.files import write_whole
from plusx.inference import Classifier, accuracy_under_corruptions
from plusx.text import json_text, percent, shown, visible

if TYPE_CHECKING:
    from plusx.report.evaluation import Evaluation

MISTAKES_LISTED = 5  # in the terminal; JSON and page have more


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
    corruptions: Annotated[
        bool,
        typer.Option("--corruptions", help="Measure on noisy, blurred, pale and compressed pictures too."),
    ] = False,
    page: Annotated[
        Path | None, typer.Option(help="Write a page with all figures and the worst mistakes to this file.")
    ] = None,
    force: Force = False,
    device: DeviceOption = "auto",
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Measure a trained network on a test set: accuracy by class, confusion, calibration, worst mistakes."""
    from plusx.report.evaluation import evaluate_answers, to_json
    from plusx.report.evaluation_page import render_evaluation

    refuse_page(page, force)
    where = resolve_device(device)
    classifier = plusx.load(run_or_weights).to(where)
    dataset = dataset_of(run_or_weights, data, data_dir, classifier.card)
    labels = labels_of(run_or_weights, dataset, classifier.card)
    images = dataset.test_images
    seen = classifier.read(images)
    answers = _answers(classifier, seen, "none")
    measured = evaluate_answers(
        labels,
        answers,
        classifier.card.classes,
        images,
        network=str(run_or_weights),
        data=dataset.name,
        with_views=None if views == "none" else _answers(classifier, seen, views),
        corruptions=accuracy_under_corruptions(classifier, seen, labels) if corruptions else None,
        paths=dataset.record.get("split", {}).get("test"),
        remarks=remarks_on(run_or_weights, dataset),
    )
    console = Console(stderr=as_json)
    if as_json:
        print(json_text(to_json(measured)))
    else:
        _show(measured, views, console)
    if page is not None:
        facts = environment(where, resolve_precision("auto", where))
        write_whole(page, render_evaluation(measured, images, facts))
        say(console, f"written: {page}")


def _answers(classifier: Classifier, images: np.ndarray, views: str) -> np.ndarray:
    what = "test pictures" if views == "none" else f"with {views} views"
    with counting(Console(stderr=True), what, len(images)) as show:
        return classifier.probabilities(images, views=views, show=show)


def _show(of: "Evaluation", views: str, console: Console) -> None:
    """All figures but the largest tables, which JSON and page have."""
    title = f"{of.network} on {of.summary.total:,} test pictures of {of.data}"
    console.print(visible(title), style="bold", markup=False, highlight=False, soft_wrap=True)
    for remark in of.remarks:
        say(console, f"note: {remark}")
    for table in (_whole(of, views), _classes(of), _mistakes(of), _corruptions(of)):
        if table.rows:
            console.print(table, "")


def _whole(of: "Evaluation", views: str) -> Table:
    table = Table(box=None, show_header=False)
    low, high = (100 * end for end in of.interval)
    rows = {
        "accuracy": (of.accuracy, f"95 % interval {low:.1f} … {high:.1f} %"),
        f"with {views} views": (of.accuracy_with_views, ""),
        "among the first five": (of.top5, ""),
        "calibration error": (of.calibration_error, "confidence less accuracy, in size"),
        "on corrupted pictures": (of.accuracy_corrupted, "mean over kinds and strengths"),
    }
    for name, (share, note) in rows.items():
        if share is not None:
            table.add_row(name, percent(share), note)
    return table


def _classes(of: "Evaluation") -> Table:
    table = Table(box=None)
    for column in ("class", "pictures", "precision", "recall", "F1"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for name, measures in of.measures.items():
        shares = (measures.precision, measures.recall, measures.f1)
        table.add_row(shown(name), f"{measures.pictures:,}", *(percent(share, 1) for share in shares))
    return table


def _mistakes(of: "Evaluation") -> Table:
    table = Table(box=None)
    table.add_column("surest mistakes", overflow="fold")
    table.add_column("answer")
    table.add_column("sure", justify="right", no_wrap=True)
    table.add_column("truth")
    for mistake in of.summary.mistakes[:MISTAKES_LISTED]:
        picture = of.paths[mistake.index] if of.paths else f"test picture {mistake.index}"
        sure = percent(mistake.confidence, 1)
        table.add_row(shown(picture), shown(mistake.predicted), sure, shown(mistake.true))
    return table


def _corruptions(of: "Evaluation") -> Table:
    from plusx.report.evaluation_figures import words

    table = Table(box=None)
    table.add_column("accuracy at strength")
    for strength in range(1, 6):
        table.add_column(str(strength), justify="right")
    for kind, accuracies in (of.corruptions or {}).items():
        table.add_row(words(kind), *(percent(accuracy, 1) for accuracy in accuracies))
    return table
