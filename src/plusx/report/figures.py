"""The three pictures of a run, each a function from figures to the bytes of a PNG."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from plusx.report.run_files import RunFiles
from plusx.report.style import DPI, WIDTH, Theme, applied, padded, shorten, to_png
from plusx.report.summary import Mistake, Summary
from plusx.text import percent

_CELL_TEXT_UP_TO = 20
"""Classes above which a cell of the confusion matrix is too small for a number."""

_NAMES_APART = 0.1
"""Distance between the names of two lines, as a share of the height of the axes."""


def draw_curves(run: RunFiles, theme: Theme) -> bytes:
    """Accuracy, loss and learning rate over the epochs, on one x axis."""
    result = run.result
    with applied(theme):
        figure = Figure(figsize=(WIDTH, 6.6), layout=padded())
        names = dict.fromkeys((result["recipe"], result["model"]))  # often the same one
        title(figure, " · ".join((*names, f"seed {result['seed']}")))
        accuracy, loss, rate = figure.subplots(3, 1, sharex=True, height_ratios=(5, 4, 1.1))
        _draw_lines(accuracy, run, "accuracy", "{:.2%}", theme)
        _draw_lines(loss, run, "loss", "{:.3f}", theme)
        accuracy.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.4g} %")
        _draw_rate(rate, run, theme)
        rate.set_xlabel("epoch")
        rate.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        first, last = run.epochs[0]["epoch"], run.epochs[-1]["epoch"]
        rate.set_xlim(first - 0.3, last + 0.3)
        return to_png(figure)


def _draw_lines(axes: Axes, run: RunFiles, quantity: str, number: str, theme: Theme) -> None:
    ends = []
    for split, colour in (("train", theme.train), ("validation", theme.validation), ("test", theme.test)):
        points = [(row["epoch"], row[f"{split}_{quantity}"]) for row in run.epochs]
        points = [(epoch, value) for epoch, value in points if value is not None]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, marker="o", markeredgewidth=0)
            last = points[-1][1]
            ends.append((last, f"{split} {number.format(last).replace('%', ' %')}", colour))
    axes.set_title(quantity, loc="left", color=theme.muted, fontsize=10)
    label_ends(axes, ends)


def label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Name each line (last value, name, colour) at its right end, apart enough to be read."""
    low, high = axes.get_ylim()
    ends = sorted(ends)
    wanted = np.array([(value - low) / (high - low) for value, _, _ in ends])
    apart = _NAMES_APART * np.arange(len(ends))
    # Push each name clear of the one below, then move all back by the mean shift.
    placed = np.maximum.accumulate(wanted - apart) + apart
    placed -= (placed - wanted).mean()
    for position, (_, text, colour) in zip(placed, ends, strict=True):
        axes.text(1.01, position, text, transform=axes.transAxes, color=colour, va="center", weight="bold")


def _draw_rate(axes: Axes, run: RunFiles, theme: Theme) -> None:
    epochs = [row["epoch"] for row in run.epochs]
    rates = [row["learning_rate"] for row in run.epochs]
    axes.set_title("learning rate", loc="left", color=theme.muted, fontsize=10)
    axes.fill_between(epochs, rates, color=theme.muted, alpha=0.18, linewidth=0)
    axes.plot(epochs, rates, color=theme.muted, linewidth=1.2, marker=".")
    axes.set_ylim(0, max(rates) * 1.15 or 1)
    axes.set_yticks([0, max(rates)], ["0", f"{max(rates):.3g}"])


def draw_confusion(summary: Summary, theme: Theme) -> bytes:
    """Confusion matrix, each row in percent of its true class; 2 to about 100 classes are readable."""
    count = len(summary.classes)
    totals = summary.confusion.sum(axis=1, keepdims=True)
    shares = summary.confusion / np.maximum(totals, 1)
    side = float(np.clip(2 + 0.12 * count, WIDTH, 20))
    size = float(np.clip(130 / count, 6, 9.5))
    with applied(theme):
        figure = Figure(figsize=(side, side), layout=padded())
        title(figure, "What each class was taken for, in % of its pictures")
        axes = figure.add_subplot()
        colours = LinearSegmentedColormap.from_list("confusion", [theme.paper, theme.test])
        # The square root lifts the small off-diagonal shares, which are what one looks for here.
        image = axes.imshow(shares, cmap=colours, norm=PowerNorm(0.5, 0, 1))
        names = [shorten(name, 18) for name in summary.classes]
        axes.set_xticks(range(count), names, rotation=45 if count <= _CELL_TEXT_UP_TO else 90, fontsize=size)
        axes.tick_params("x", top=True, labeltop=True, bottom=False, labelbottom=False)
        if count <= _CELL_TEXT_UP_TO:
            for label in axes.get_xticklabels():
                label.set(ha="left", rotation_mode="anchor")
            _write_cells(axes, shares, size, theme)
        else:
            bar = figure.colorbar(image, ax=axes, shrink=0.6, ticks=[0, 0.01, 0.1, 0.5, 1], aspect=40)
            bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        axes.set_yticks(range(count), names, fontsize=size)
        axes.set_xlabel("predicted class", loc="left")
        axes.set_ylabel("true class", loc="top")
        axes.xaxis.set_label_position("top")
        axes.grid(False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        return to_png(figure)


def _write_cells(axes: Axes, shares: np.ndarray, size: float, theme: Theme) -> None:
    decimals = 1 if len(shares) <= 12 else 0
    for (row, column), share in np.ndenumerate(shares):
        text = f"{100 * share:.{decimals}f}"
        if float(text) == 0 and row != column:
            continue
        on_dark_blue = share**0.5 > 0.62
        axes.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize=size,
            color=theme.paper if on_dark_blue else theme.ink,
            weight="bold" if row == column else "normal",
        )


# Pixels, so that a 32×32 picture is enlarged by exactly 7 and every pixel of it stays a square.
_SIDE, _GAP, _CAPTION, _HEADER, _MARGIN, _COLUMNS = 224, 40, 86, 120, 40, 5


def describe_confusion(summary: Summary) -> str:
    """The confusion matrix in a sentence, for those who don't see it."""
    worst = max(summary.class_rows, key=lambda row: row.confused)
    if worst.confused_with is None:
        return f"Confusion matrix of {len(summary.classes)} classes without a mistake."
    return (
        f"Confusion matrix of {len(summary.classes)} classes. The most frequent mistake: {worst.name} "
        f"taken for {worst.confused_with}, {worst.confused} of {worst.total} pictures."
    )


def draw_mistakes(summary: Summary, pictures: np.ndarray, theme: Theme) -> bytes:
    """The most confident wrong answers: the picture, the answer with its confidence, the true class."""
    shown = summary.mistakes
    rows = max(1, -(-len(shown) // _COLUMNS))
    width = 2 * _MARGIN + _COLUMNS * _SIDE + (_COLUMNS - 1) * _GAP
    height = _HEADER + rows * (_SIDE + _CAPTION) + _MARGIN
    with applied(theme):
        figure = Figure(figsize=(width / DPI, height / DPI))
        title(figure, _mistakes_title(summary), x=_MARGIN / width, y=1 - 40 / height)
        for place, mistake in enumerate(shown):
            row, column = divmod(place, _COLUMNS)
            left = _MARGIN + column * (_SIDE + _GAP)
            bottom = height - _HEADER - row * (_SIDE + _CAPTION) - _SIDE
            axes = figure.add_axes((left / width, bottom / height, _SIDE / width, _SIDE / height))
            _draw_mistake(axes, mistake, pictures[mistake.index], theme)
        if not shown:
            text = f"None: all {summary.total:,} test pictures were named right.".replace(",", "\u202f")
            figure.text(0.5, 0.45, text, ha="center", color=theme.muted, fontsize=11)
        return to_png(figure)


def _mistakes_title(summary: Summary) -> str:
    wrong = summary.total - summary.correct
    count = len(summary.mistakes)
    return f"The {count} most confident of {wrong} mistakes" if count < wrong else f"Mistakes: {wrong}"


def _draw_mistake(axes: Axes, mistake: Mistake, picture: np.ndarray, theme: Theme) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_axis_off()
    answer = f"{shorten(mistake.predicted, 12)} {percent(mistake.confidence, 0)}"
    place: dict[str, Any] = {"transform": axes.transAxes, "va": "top", "fontsize": 8}
    axes.text(0, -0.05, answer, weight="bold", color=theme.train, **place)
    axes.text(0, -0.18, f"true: {shorten(mistake.true, 14)}", color=theme.ink, **place)


def title(figure: Figure, text: str, x: float = 0.02, y: float | None = None) -> None:
    """Write a figure's title at its upper left, at most 70 characters of it."""
    figure.suptitle(shorten(text, 70), x=x, y=y, ha="left", va="top", fontsize=12, weight="bold")
