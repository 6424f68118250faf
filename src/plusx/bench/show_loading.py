"""The benchmark of reading pictures, as a table for the terminal and as a picture."""

from typing import Any

from rich.table import Table

from plusx.bench.bars import Bar, draw_bars
from plusx.bench.loading import TRAINING
from plusx.report.style import LIGHT


def loading_table(result: dict[str, Any]) -> Table:
    """A row for each network and way of reading; the last column: how many times what training takes."""
    table = Table(box=None)
    for title in ("network", "pictures", "way"):
        table.add_column(title, no_wrap=True)
    for title in ("pictures/s", "of training"):
        table.add_column(title, justify="right", no_wrap=True)
    for network, rows in _by_network(result).items():
        (takes,) = (_rate(row) for row in rows if row["way"] == TRAINING)
        for row in rows:
            times = "" if row["way"] == TRAINING else f"{_rate(row) / takes:.1f} ×"
            table.add_row(network, _size(row), row["way"], f"{_rate(row):,.0f}", times)
        waiting = f"{100 * result['waiting'][network]:.1f} %"
        table.add_row(network, "", "of its time it waits for shards", waiting, "")
    return table


def draw_loading(result: dict[str, Any]) -> bytes:
    """Pictures a second by each way of reading, and what training takes of them."""
    panels = {
        f"{network}, {_size(rows[0])} pixels": [
            Bar(
                row["way"],
                f"{_rate(row):,.0f}",
                [(_rate(row), LIGHT.train if row["way"] == TRAINING else LIGHT.test)],
            )
            for row in rows
        ]
        for network, rows in _by_network(result).items()
    }
    return draw_bars(panels, "pictures a second")


def _by_network(result: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    names = dict.fromkeys(row["network"] for row in result["rows"])
    return {name: [row for row in result["rows"] if row["network"] == name] for name in names}


def _rate(row: dict[str, Any]) -> float:
    return float(row["pictures_per_second"][0])


def _size(row: dict[str, Any]) -> str:
    return f"{row['size']}×{row['size']}"
