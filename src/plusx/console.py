"""What long work tells on a screen: lines as they are, and how far it is, as bars on a terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column, Table

from plusx.text import visible


def say(console: Console, line: str, style: str | None = None) -> None:
    """Print a line as it is: a path may hold brackets and worse, which rich or the terminal would obey."""
    console.print(visible(line), style=style, markup=False, highlight=False, soft_wrap=True)


FOLDED = 12  # what a column that folds keeps, in characters


def without_last(table: Table, width: int) -> Table:
    """Take the last columns away until the first ones, which matter most, fit; rich would cut them all.

    >>> table = Table("name", Column("a long value", no_wrap=True), box=None)
    >>> [column.header for column in without_last(table, 10).columns]
    ['name']
    """

    def least(column: Column) -> int:
        texts = (str(column.header), *map(str, column.cells))
        widest = max(cell_len(line) for text in texts for line in text.split("\n"))
        return 2 + (min(widest, FOLDED) if column.overflow == "fold" else widest)

    while len(table.columns) > 1 and sum(map(least, table.columns)) > width:
        table.columns.pop()
    return table


def redraws(console: Console) -> bool:
    """Whether what stands there can be drawn anew: on a terminal, and in a notebook that has ipywidgets."""
    if console.is_jupyter:
        return find_spec("ipywidgets") is not None
    return console.is_terminal and not console.is_dumb_terminal


@contextmanager
def transfer(
    console: Console, what: str, total: int | None, done: int = 0
) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the bytes done so far, of `total` (None: nobody knows).

    >>> import sys
    >>> with transfer(Console(file=sys.stdout, width=80), "pictures", 4_000_000) as show:
    ...     show(1_000_000)
    ...     show(4_000_000)
    pictures: 1.0 of 4.0 MB, ... MB/s
    pictures: 4.0 of 4.0 MB, ... MB/s
    """
    if redraws(console):
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bar:
            task = bar.add_task(what, total=total, completed=done)
            yield lambda bytes_done: bar.update(task, completed=bytes_done)
    else:
        yield _plain_lines(console, what, total, done)


@contextmanager
def counting(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with how many of `total` are done; shown, from 2 on, where `redraws` says."""
    if not redraws(console) or total < 2:
        yield lambda done: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def _plain_lines(console: Console, what: str, total: int | None, done: int) -> Callable[[int], None]:
    """Return a function that prints a line at every tenth (every 20 MB where nobody knows the end)."""
    step = total / 10 if total else 20e6
    began, first, tenths = time.monotonic(), done, int(done / step)

    def show(bytes_done: int) -> None:
        nonlocal tenths
        if int(bytes_done / step) > tenths:
            tenths = int(bytes_done / step)
            rate = (bytes_done - first) / max(time.monotonic() - began, 1e-3)
            of_total = f" of {total / 1e6:.1f}" if total else ""
            say(console, f"{what}: {bytes_done / 1e6:.1f}{of_total} MB, {rate / 1e6:.1f} MB/s")

    return show
