"""The benchmark of training as tables for the terminal; where its time goes and its growth as pictures."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from rich.console import Group
from rich.table import Table

from plusx.bench.bars import Bar, draw_bars
from plusx.bench.growth import Line
from plusx.bench.show import mebibytes, steps_table
from plusx.report.style import LIGHT, WIDTH, applied, padded, to_png
from plusx.text import shown

Kind = dict[str, Any]

WHAT = {
    "batch": ("a step of {network}", "pictures"),
    "depth": ("a step of a CIFAR ResNet", "layers ({batch} pictures)"),
    "pictures": ("an epoch of {network}", "pictures ({batch} a step)"),
}
"""For each kind of growth what it is of, and over what."""


def training_tables(result: dict[str, Any]) -> Group:
    """Steps and where their time goes; growth and the time to an accuracy where they are there."""
    tables = [steps_table(result), breakdown_table(result)]
    if "growth" in result:
        tables.append(growth_table(result["growth"]))
    if "time_to" in result:
        tables.append(time_to_table(result["time_to"]))
    return Group(*tables)


def breakdown_table(result: dict[str, Any]) -> Table:
    """A row for each network and way; milliseconds of a step by kind of operation."""
    rows = result["rows"]
    table = Table(box=None, title="\nwhere the milliseconds of a step go", title_justify="left")
    for title in ("network", "way"):
        table.add_column(title, no_wrap=True)
    for kind in rows[0]["breakdown"]:
        table.add_column(kind, justify="right")
    for row in rows:
        parts = (f"{1e3 * seconds:,.1f}" for seconds in row["breakdown"].values())
        table.add_row(row["network"], row["way"], *parts)
    return table


def growth_table(growth: dict[str, Kind]) -> Table:
    """A row for each measurement; below those of a kind their line, and how far they are from it."""
    table = Table(box=None, title="\ngrowth", title_justify="left")
    table.add_column("", no_wrap=True)
    for title in ("", "seconds", "memory"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, kind in growth.items():
        of, over = (text.format(**kind) for text in WHAT[name])
        for row in kind["rows"]:
            memory = mebibytes(row["peak_memory_bytes"]) if "peak_memory_bytes" in row else ""
            table.add_row(of, f"{row[kind['x']]:,} {over}", f"{row['seconds'][0]:.3f} s", memory)
            of = ""
        table.add_row("", "line", *(f"[bold]{_equation(kind, key)}" for key in kind["fit"]))
        errors = (f"{100 * fit['largest_error']:.0f} %" for fit in kind["fit"].values())
        table.add_row("", "largest distance from it", *errors)
    return table


def time_to_table(found: dict[str, Any]) -> Table:
    """A row for each accuracy: how many runs reached it, and the medians of their seconds."""
    count = len(found["rows"][0]["runs"])
    of = f"{count} {'run' if count == 1 else 'runs'} of {shown(found['recipe'])}"
    title = f"\ntime to an accuracy: {of}, {shown(', '.join(found['processors']))}"
    table = Table(box=None, title=title, title_justify="left")
    table.add_column("test accuracy", no_wrap=True)
    for name in ("reached", "only with views", "training", "with evaluation"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in found["rows"]:
        times = (row[key] for key in ("seconds_train", "seconds_with_evaluation"))
        table.add_row(
            f"{100 * row['accuracy']:.0f} %",
            f"{row['reached']} of {count}",
            str(row["with_views"]),
            *("not reached" if seconds is None else f"{seconds:,.0f} s" for seconds in times),
        )
    return table


def draw_breakdown(result: dict[str, Any]) -> bytes:
    """A panel for each network and in it a bar for each way: its seconds, in parts by kind of operation."""
    kinds = list(result["rows"][0]["breakdown"])
    colours = dict(zip(kinds, (*LIGHT.series[: len(kinds) - 1], LIGHT.muted), strict=True))
    panels: dict[str, list[Bar]] = {}
    for row in result["rows"]:
        parts = [(seconds, colours[kind]) for kind, seconds in row["breakdown"].items()]
        title = f"{row['network']}, a step of {row['pictures']:,} pictures of {row['size']}×{row['size']}"
        panels.setdefault(title, []).append(Bar(row["way"], f"{row['seconds'][0]:.3g} s", parts))
    return draw_bars(panels, "seconds, forward and backward", legend=colours)


def draw_growth(growth: dict[str, Kind]) -> bytes:
    """Seconds above, memory below: what was measured, and the lines fitted to it, with their equations."""
    with applied(LIGHT):
        figure = Figure(figsize=(WIDTH, 4.6), layout=padded())
        axes = figure.subplots(2, 3)
        for (name, kind), (above, below) in zip(growth.items(), axes.T, strict=True):
            of, over = (text.format(**kind) for text in WHAT[name])
            _panel(above, kind, "seconds", 1.0, LIGHT.test)
            above.set_title(of, loc="left", color=LIGHT.muted, fontsize=9.5, pad=18)
            if "peak_memory_bytes" in kind["fit"]:
                _panel(below, kind, "peak_memory_bytes", 2.0**20, LIGHT.train)
            else:
                below.set_axis_off()
            for place in (above, below):
                place.set_xlabel(over, fontsize=8.5)
        axes[0, 0].set_ylabel("seconds")
        axes[1, 0].set_ylabel("peak memory, MiB")
        handles = [
            Line2D([], [], marker="o", linestyle="", color=LIGHT.muted, label="measured"),
            Line2D([], [], color=LIGHT.muted, linewidth=1.2, label="line by least squares"),
        ]
        axes[1, 2].legend(handles=handles, loc="upper left", fontsize=8, frameon=False)
        return to_png(figure)


def _panel(place: Axes, kind: Kind, key: str, unit: float, colour: str) -> None:
    at = [row[kind["x"]] for row in kind["rows"]]
    values = [row[key][0] if key == "seconds" else row[key] for row in kind["rows"]]
    line = _line(kind, key)
    ends = (0, max(at))
    place.plot(ends, [line.at(x) / unit for x in ends], color=colour, linewidth=1.2)
    place.plot(at, [value / unit for value in values], "o", color=colour)
    place.set_ylim(bottom=min(0.0, line.fixed / unit))
    place.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    for axis in (place.xaxis, place.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,g}")
    place.tick_params(labelsize=8)
    place.text(0, 1.03, _equation(kind, key), transform=place.transAxes, fontsize=7.5)


def _equation(kind: Kind, key: str) -> str:
    """The line in words, such as 0.071 s + 0.43 ms a picture."""
    line, one = _line(kind, key), kind["x"].removesuffix("s")
    if key == "seconds":
        text = f"{line.fixed:.2g} s + {1e3 * line.each:.3g} ms a {one}"
    else:
        text = f"{line.fixed / 2**20:.3g} MiB + {line.each / 2**20:.3g} MiB a {one}"
    return text.replace("-", "−")


def _line(kind: Kind, key: str) -> Line:
    fit = kind["fit"][key]
    return Line(fit["fixed"], fit["each"])
