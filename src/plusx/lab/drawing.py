"""What the experiments' tables and figures share: short numbers, means over seeds, bars and lines of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import NullLocator

from plusx.report.style import Theme


def short(number: float) -> str:
    """Three digits and a unit: thousand (k), million (M), thousand million (G).

    >>> [short(n) for n in (3, 0.25, 1728, 150_528_000, 1.987e9)]
    ['3', '0.25', '1.73 k', '151 M', '1.99 G']
    """
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def percent(values: Sequence[float]) -> str:
    """Mean of shares over seeds as a percentage, ± their standard deviation where there is more than one.

    >>> percent([0.5]), percent([0.5, 0.52])
    ('50.0 %', '51.0 ± 1.4 %')
    """
    spread = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{spread} %"


def logarithmic(axis: Axis) -> None:
    """Powers of ten, written as `short` does.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> logarithmic(axes.xaxis)
    >>> axes.get_xscale(), axes.xaxis.get_major_formatter()(1000)
    ('log', '1 k')
    """
    axis._set_axes_scale("log")  # type: ignore[attr-defined]
    axis.set_major_formatter(lambda value, _: short(value))
    axis.set_minor_locator(NullLocator())


def colours(theme: Theme) -> tuple[str, ...]:
    """Four colours that everyone can tell apart, in the order to use them."""
    return theme.test, theme.train, theme.validation, theme.muted


def accuracy_bars(axes: Axes, groups: Mapping[str, Mapping[str, Sequence[float]]], theme: Theme) -> None:
    """Bars of mean accuracies in percent, a cluster for each group, a colour for each series, dots for seeds.

    Args:
        axes: where to draw; the series are named for a legend.
        groups: {group: {series: accuracies 0…1, one a seed}}.
        theme: the colours.
    """
    series = list(next(iter(groups.values())))
    width = 0.76 / len(series)
    for index, (name, colour) in enumerate(zip(series, colours(theme), strict=False)):
        for place, by in enumerate(groups.values()):
            x = place + (index - (len(series) - 1) / 2) * width
            values = [100 * value for value in by[name]]
            label = name if place == 0 else None
            axes.bar(x, float(np.mean(values)), 0.92 * width, color=colour, label=label)
            if len(values) > 1:
                axes.plot([x] * len(values), values, "o", color=theme.ink, markersize=2.5)
            text = f"{np.mean(values):.1f}"
            axes.annotate(
                text, (x, max(values)), (0, 4), textcoords="offset points", ha="center", fontsize=8.5
            )
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set_ylabel("test accuracy in %")
    axes.margins(y=0.12)


def seed_lines(
    axes: Axes,
    x: Sequence[float],
    series: Mapping[str, Sequence[Sequence[float]]],
    theme: Theme,
    *,
    dashed: bool = False,
) -> None:
    """A line of means for each series, and a faint one for each seed.

    Args:
        axes: where to draw; the series are named for a legend.
        x: places on the horizontal axis.
        series: {name: [[a value for each x] for each seed]}.
        theme: the colours.
        dashed: draw dashed.
    """
    for (name, seeds), colour in zip(series.items(), colours(theme), strict=False):
        style = "--" if dashed else "-"
        axes.plot(x, np.mean(seeds, axis=0), style, marker="o", color=colour, label=name, markeredgewidth=0)
        if len(seeds) > 1:
            for values in seeds:
                axes.plot(x, values, style, color=colour, alpha=0.3, linewidth=0.8)
