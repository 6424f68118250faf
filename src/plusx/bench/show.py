"""The benchmarks as tables for the terminal and as pictures."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from plusx.bench.bars import Bar, draw_bars
from plusx.report.style import LIGHT, WIDTH, applied, padded, to_png


def operations_table(result: dict[str, Any]) -> Table:
    """A row for each operation, shape, type and layout; times in milliseconds, forward plus backward.

    The last two columns: how many times as fast as native ours is, and a call that names no engine.
    """
    table = Table(box=None)
    for title in ("operation", "shape", "type", "layout"):
        table.add_column(title, no_wrap=True)
    for title in ("handmade", "native", "floor", "ratio", "auto"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in result["rows"]:
        colour = "green" if row["ratio"] >= 1 else "yellow" if row["ratio"] >= 0.5 else "red"
        table.add_row(
            row["name"] + ("" if row["equal"] else " [red]differs[/red]"),
            "×".join(map(str, row["shape"])),
            row["dtype"],
            row["layout"],
            *(f"{row[f'{engine}_both_ms'][0]:,.2f}" for engine in ("handmade", "native")),
            f"{row['floor_ms']:,.2f}",
            f"[{colour}]{row['ratio']:.2f}[/{colour}]",
            f"{row['auto_ratio']:.2f}",
        )
    for group, mean in result["summary"].items():
        table.add_row(f"[bold]{group}, geometric mean", "", "", "", "", "", "", f"[bold]{mean:.2f}")
    return table


def steps_table(result: dict[str, Any]) -> Table:
    """A row for each network and way; memory is what a step takes at most."""
    table = Table(box=None)
    for title in ("network", "way"):
        table.add_column(title, no_wrap=True)
    for title in ("pictures", "images/s", "50 000 pictures", "times as fast", "memory"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in result["rows"]:
        table.add_row(
            row["network"],
            row["way"],
            f"{row['pictures']} of {row['size']}×{row['size']}",
            _rate(row),
            f"{row['seconds_per_50000']:,.0f} s",
            f"{row['images_per_second'] / _slowest(result, row['network']):.2f}",
            mebibytes(row["peak_memory_bytes"]),
        )
    return table


def mebibytes(count: float) -> str:
    """A number of bytes for a person.

    >>> mebibytes(3 * 2**30)
    '3,072 MiB'
    """
    return f"{count / 2**20:,.0f} MiB"


def _rate(row: dict[str, Any]) -> str:
    """Three digits are known, no more."""
    rate = float(row["images_per_second"])
    return f"{round(rate, -1):,.0f}" if rate >= 1000 else f"{rate:.3g}"


def _slowest(result: dict[str, Any], network: str) -> float:
    return min(float(r["images_per_second"]) for r in result["rows"] if r["network"] == network)


def draw_operations(result: dict[str, Any]) -> bytes:
    """How many times as fast as native each row is, on a logarithmic axis, a colour for each type."""
    rows = result["rows"]
    names = list(dict.fromkeys(f"{r['name']}  {'×'.join(map(str, r['shape'][1:]))}" for r in rows))
    with applied(LIGHT):
        figure = Figure(figsize=(WIDTH, 0.9 + 0.2 * len(names)), layout=padded())
        axes = figure.subplots()
        for row in rows:
            name = f"{row['name']}  {'×'.join(map(str, row['shape'][1:]))}"
            axes.plot(
                row["ratio"],
                names.index(name),
                "o" if row["layout"] == "channels-last" else "s",
                color=LIGHT.test if row["dtype"] == "float32" else LIGHT.train,
                markersize=5,
                markeredgewidth=0,
            )
        axes.axvline(1, color=LIGHT.muted, linewidth=1)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×" if value >= 1 else f"1/{1 / value:g}×")
        axes.set_yticks(np.arange(len(names)), names, fontsize=7.5)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(axis="x")
        axes.set_xlabel("speed, native = 1×, forward plus backward (right is faster)")
        for label, marker, colour in (
            ("float32, channels-last", "o", LIGHT.test),
            ("float32, contiguous", "s", LIGHT.test),
            ("bfloat16, channels-last", "o", LIGHT.train),
            ("bfloat16, contiguous", "s", LIGHT.train),
        ):
            axes.plot([], [], marker, color=colour, label=label, markersize=5, markeredgewidth=0)
        figure.legend(loc="outside upper left", ncols=2, fontsize=8, frameon=False)
        return to_png(figure)


def draw_steps(result: dict[str, Any]) -> bytes:
    """Pictures a second of each network, a bar for each way."""
    rows = result["rows"]
    ways = list(dict.fromkeys(r["way"] for r in rows))
    colours = dict(zip(ways, LIGHT.series, strict=False))
    panels = {
        network: [
            Bar(row["way"], _rate(row), [(row["images_per_second"], colours[row["way"]])])
            for row in rows
            if row["network"] == network
        ]
        for network in dict.fromkeys(r["network"] for r in rows)
    }
    return draw_bars(panels, "pictures a second, forward and backward")
