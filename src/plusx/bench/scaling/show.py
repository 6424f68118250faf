"""The plan as tables for the terminal and as a picture."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from rich.console import Group
from rich.table import Table

from plusx.bench.scaling.facts import fact
from plusx.bench.scaling.plan import WEAK_BATCH
from plusx.report.style import LIGHT, WIDTH, applied, padded, to_png

COLOURS = (LIGHT.test, LIGHT.validation, LIGHT.train)
WIDTHS = (4.5, 2.2, 2.0)
"""Of lines, drawn in this order: where two networks do equally well, both are seen."""
SHOWN = (8, 64, 256, 1024)
TICKS = (1, 8, 64, 512)

Points = list[dict[str, Any]]


def scaling_tables(result: dict[str, Any]) -> Group:
    """Efficiency at some numbers of GPUs, then the model beside what was measured here and elsewhere."""
    plan = Table(
        "network", "scaling", box=None, title="efficiency of ResNet-50 on A100", title_justify="left"
    )
    for devices in SHOWN:
        plan.add_column(f"{devices:,} GPUs", justify="right")
    for network in _networks(result):
        for scaling in dict.fromkeys(point["scaling"] for point in result["rows"]):
            at = {point["devices"]: point for point in _points(result, network, scaling)}
            plan.add_row(network, scaling, *(f"{at[devices]['efficiency']:.2f}" for devices in SHOWN))

    here = Table(box=None, title="\na step of DistributedDataParallel on this machine", title_justify="left")
    for title in ("processes", "measured", "predicted, overlapping", "predicted, in turn"):
        here.add_column(title, justify="right")
    for row in result["checks"]["steps"]:
        times = (f"{row[key]:.3f} s" for key in ("measured", "overlapping", "in_turn"))
        here.add_row(str(row["processes"]), *times)

    elsewhere = Table("efficiency", box=None, title="\npublished scaling", title_justify="left")
    for title in ("published", "predicted"):
        elsewhere.add_column(title, justify="right")
    for row in result["checks"]["published"]:
        elsewhere.add_row(
            f"{row['what']} ({row['source']})", f"{row['published']:.2f}", f"{row['predicted']:.2f}"
        )
    return Group(plan, here, elsewhere)


def draw_scaling(result: dict[str, Any]) -> bytes:
    """Throughput and efficiency over GPUs, weak and strong, and where the time of a step goes."""
    with applied(LIGHT):
        figure = Figure(figsize=(WIDTH, 8.4), layout=padded())
        axes = figure.subplots(3, 2)
        for place, scaling in zip(axes[:2], ("weak", "strong"), strict=True):
            for key, axis in zip(("images_per_second", "efficiency"), place, strict=True):
                _lines(axis, result, scaling, key)
            place[0].set_yscale("log")
            place[0].yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            place[0].set_title(f"{scaling}: pictures a second", loc="left", color=LIGHT.muted, fontsize=10)
            place[1].set_ylim(0, 1.05)
            place[1].set_title(f"{scaling}: efficiency", loc="left", color=LIGHT.muted, fontsize=10)
        _limits(axes[0, 1], result)
        _split(axes[2, 0], result, "weak", SHOWN)
        _split(axes[2, 1], result, "strong", SHOWN[1:])
        handles = [
            *(Line2D([], [], color=colour, label=name) for name, colour in _coloured(result)),
            Line2D(
                [],
                [],
                color=LIGHT.muted,
                linestyle="--",
                linewidth=1.2,
                label=f"without a shortest step of {1e3 * fact('shortest step'):.0f} ms",
            ),
            Patch(color=LIGHT.muted, label="computation; in colour, waiting"),
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=8, frameon=False)
        return to_png(figure)


def _networks(result: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(point["network"] for point in result["rows"]))


def _points(result: dict[str, Any], network: str, scaling: str) -> Points:
    return [p for p in result["rows"] if (p["network"], p["scaling"]) == (network, scaling)]


def _coloured(result: dict[str, Any]) -> list[tuple[str, str]]:
    return list(zip(_networks(result), COLOURS, strict=True))


def _lines(axis: Axes, result: dict[str, Any], scaling: str, key: str) -> None:
    for (network, colour), width in zip(_coloured(result), WIDTHS, strict=True):
        for name, style, line in ((scaling, "o-", width), (f"{scaling}, no floor", "--", 1.2)):
            points = _points(result, network, name)
            devices = [point["devices"] for point in points]
            axis.plot(devices, [point[key] for point in points], style, color=colour, linewidth=line)
    axis.set_xscale("log", base=2)
    axis.set_xticks(TICKS, [f"{tick:,}" for tick in TICKS])
    axis.set_xlabel("GPUs")


def _limits(axis: Axes, result: dict[str, Any]) -> None:
    """Where weak scaling leaves the batches that are known to train as well."""
    for line in result["useful"]:
        if line["batch_per_device"] == WEAK_BATCH:
            axis.axvline(line["devices"], color=LIGHT.muted, linewidth=1, linestyle=":")
            text = f"batch {line['limit']:,.0f}"
            axis.annotate(
                text, (line["devices"], 0.04), (3, 0), textcoords="offset points", fontsize=7.5, rotation=90
            )


def _split(axis: Axes, result: dict[str, Any], scaling: str, shown: tuple[int, ...]) -> None:
    """A bar for each network and number of GPUs: computation, and on top the communication it waits for."""
    for shift, (network, colour) in enumerate(_coloured(result)):
        points = [p for p in _points(result, network, scaling) if p["devices"] in shown]
        places = np.arange(len(points)) + 0.27 * (shift - 1)
        compute = [p["compute_ms"] for p in points]
        axis.bar(places, compute, 0.24, color=LIGHT.muted)
        axis.bar(places, [p["exposed_ms"] for p in points], 0.24, bottom=compute, color=colour)
    axis.set_xticks(np.arange(len(shown)), [f"{devices:,}" for devices in shown])
    axis.set_title(f"{scaling}: milliseconds of a step", loc="left", color=LIGHT.muted, fontsize=10)
    axis.set_xlabel("GPUs")
