"""`plusx compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

import plusx
from plusx import data as data_room
from plusx.commands.options import DataDir, DeviceOption, Force, Json
from plusx.commands.output import refuse_page
from plusx.commands.pictures import dataset_of, labels_of, remarks_on
from plusx.console import FOLDED, say, without_last
from plusx.device import resolve_device, resolve_precision
from plusx.environment import environment
from plusx.errors import UserError
from plusx.files import write_whole
from plusx.models.weights import WEIGHTS_FILE
from plusx.text import clock, json_text, percent, setting, shown

if TYPE_CHECKING:
    from plusx.report.comparison import Comparison
    from plusx.report.finished import Run


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Directories of finished runs, two or more.")],
    page: Annotated[
        Path | None, typer.Option(help="Write a page with tables and the curves of all runs to this file.")
    ] = None,
    force: Force = False,
    device: DeviceOption = "auto",
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Put runs side by side: settings that differ, accuracies, and how sure each difference is."""
    from plusx.report import comparison
    from plusx.report.comparison_page import render_comparison
    from plusx.report.finished import read_runs

    refuse_page(page, force)
    where = resolve_device(device)
    found = read_runs(runs)
    right, reasons = _evaluated(found, data_dir, where)
    compared = comparison.compare(found, right, reasons)
    console = Console(stderr=as_json)
    if as_json:
        print(json_text(comparison.to_json(compared)))
    else:
        _show(compared, console)
    if page is not None:
        facts = environment(where, resolve_precision("auto", where))
        write_whole(page, render_comparison(compared, facts))
        say(console, f"written: {page}")


def _evaluated(
    runs: "list[Run]", data_dir: Path | None, device: torch.device
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Whether each test picture is named right, by run; and for the runs that can't be evaluated, why."""
    from plusx.report.finished import same_pictures

    first = runs[0]
    alike = [run for run in runs if same_pictures(first, run)]
    right: dict[str, np.ndarray] = {}
    reasons: dict[str, str] = {}
    console = Console(stderr=True)
    for run in alike if len(alike) > 1 else []:
        try:
            right[run.name] = _right(run, data_dir, device, console)
        except UserError as error:
            reasons[run.name] = str(error)
        if first.name in reasons:  # nothing to pair the others with
            break
    return right, reasons


def _right(run: "Run", data_dir: Path | None, device: torch.device, console: Console) -> np.ndarray:
    """Whether a run's network names each of its test pictures right, bool (N,); an error if it can't."""
    directory = Path(run.name)
    if not (directory / WEIGHTS_FILE).exists():
        raise UserError("no weights")
    if run.recipe.data.source == "cifar10" and any(
        batch.fault for batch in data_room.verify(data_dir).values()
    ):
        raise UserError("CIFAR-10 is not in the cache: plusx data fetch")  # no reason to fetch it unasked
    classifier = plusx.load(directory).to(device)
    say(console, f"naming the test pictures by {run.name}")
    dataset = dataset_of(directory, None, data_dir, classifier.card)
    if remarks_on(directory, dataset):
        raise UserError("the pictures changed since it was trained")
    labels = labels_of(directory, dataset, classifier.card)
    return classifier.probabilities(dataset.test_images).argmax(1) == labels


def _show(of: "Comparison", console: Console) -> None:
    runs = without_last(_runs(of), console.width)
    for table in (runs, _settings(of), _machines(of), _differences(of), _groups(of)):
        if table.rows:
            console.print(table, "")
    for remark in of.remarks:
        say(console, f"note: {remark}")


def _runs(of: "Comparison") -> Table:
    table = Table(box=None)
    table.add_column("", no_wrap=True)
    table.add_column("run", overflow="fold", min_width=FOLDED)
    for column in ("seed", "test", "95 % interval", "views", "training", "images/s"):
        table.add_column(column, justify="right", no_wrap=True)
    for run in of.runs:
        result = run.files.result
        views, low, high = result["test_accuracy_tta"], *(100 * end for end in run.interval)
        table.add_row(
            of.labels[run.name],
            shown(run.name),
            str(result["seed"]),
            percent(run.accuracy),
            f"{low:.1f} … {high:.1f} %",
            percent(views),
            clock(result["seconds"]["train"]),
            f"{result['images_per_second']:,.0f}",
        )
    return table


def _settings(of: "Comparison") -> Table:
    """What differs, a column for each group of runs that differ only in the seed."""
    table = Table(box=None)
    for column in ("settings that differ", *(group.name for group in of.groups)):
        table.add_column(column, overflow="fold")
    for key, values in of.settings.items():
        table.add_row(key, *(shown(setting(value)) for value in values))
    return table


def _machines(of: "Comparison") -> Table:
    table = Table(box=None)
    for column in ("ran on", "", "runs"):
        table.add_column(column, overflow="fold")
    for key, values in of.machines.items():
        for value, labels in values.items():
            table.add_row(key, shown(str(value)), ", ".join(labels))
    return table


def _differences(of: "Comparison") -> Table:
    table = Table(box=None)
    table.add_column("difference", no_wrap=True)
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("compared")
    for difference in of.differences:
        how = (
            f"unpaired, {difference.reason}"
            if difference.reason
            else f"paired: {difference.gained:,} right only here, {difference.lost:,} only there"
        )
        table.add_row(
            f"{of.labels[difference.run]} − {of.labels[of.runs[0].name]}",
            _points(difference.difference),
            _interval(difference.interval),
            shown(how),
        )
    return table


def _groups(of: "Comparison") -> Table:
    """Means over seeds; empty where no group has two."""
    table = Table(box=None)
    for column in ("seeds", "mean ± deviation", "difference", "points", "Welch's 95 % interval"):
        table.add_column(column, justify="left" if column in ("seeds", "difference") else "right")
    against = {difference.group: difference for difference in of.group_differences}
    for group in of.groups:
        if group.deviation is None:
            continue
        found = against.get(group.name)
        table.add_row(
            f"{group.name}: {len(group.accuracies)}",
            f"{100 * group.mean:.2f} ± {100 * group.deviation:.2f} %",
            f"{group.name} − {of.groups[0].name}" if found else "",
            _points(found.difference) if found else "",
            _interval(found.interval) if found and found.interval else "",
        )
    return table


def _points(share: float) -> str:
    return f"{100 * share:+.2f}".replace("-", "−")


def _interval(ends: tuple[float, float]) -> str:
    return f"{_points(ends[0])} … {_points(ends[1])}"
