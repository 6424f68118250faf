"""The page of `plusx compare`: runs side by side, their differences and curves, in one file."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plusx.report.comparison import Comparison
from plusx.report.figures import title
from plusx.report.finished import Run
from plusx.report.html import data_uri, fill, percent
from plusx.report.style import DARK, LIGHT, WIDTH, Theme, applied, padded, shorten, to_png
from plusx.text import visible

_DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)))


def render_comparison(of: Comparison, facts: Mapping[str, str | int]) -> str:
    """Write the page.

    Args:
        of: what was compared.
        facts: how, by name, and the `command` that does it again.
    """
    return fill(
        "comparison.html.jinja",
        of=of,
        curves={theme.name: data_uri(draw_comparison(of, theme)) for theme in (LIGHT, DARK)},
        alternative=_describe(of),
        facts=facts,
    )


def draw_comparison(of: Comparison, theme: Theme) -> bytes:
    """Accuracy and loss of all runs by epoch; runs that differ only in the seed have one colour."""
    with applied(theme):
        figure = Figure(figsize=(WIDTH, 6.8), layout=padded())
        title(figure, "Accuracy and loss by epoch")
        accuracy, loss = figure.subplots(2, 1, sharex=True, height_ratios=(5, 4))
        for number, group in enumerate(of.groups):
            rounds, place = divmod(number, len(theme.series))
            look = {"color": theme.series[place], "linestyle": _DASHES[rounds % len(_DASHES)]}
            names = shorten(visible(", ".join(run.name for run in group.runs)), 88)
            for run in group.runs:
                label = {"label": f"{group.name}  {names}"} if run is group.runs[0] else {}
                _draw(accuracy, run, ("test_accuracy", "validation_accuracy"), look | label)
                _draw(loss, run, ("train_loss",), look)
        accuracy.set_title(_watched(of), loc="left", color=theme.muted, fontsize=10)
        accuracy.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.4g} %")
        loss.set_title("train loss", loc="left", color=theme.muted, fontsize=10)
        loss.set_xlabel("epoch")
        loss.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.legend(loc="outside lower left", frameon=False, fontsize=8.5)
        return to_png(figure)


def _draw(axes: Axes, run: Run, keys: tuple[str, ...], look: dict[str, Any]) -> None:
    """The first of these figures that an epoch has, where it has one."""
    found = [
        [(row["epoch"], row[key]) for key in keys if row[key] is not None][:1] for row in run.files.epochs
    ]
    axes.plot(*zip(*chain.from_iterable(found), strict=True), marker=".", linewidth=1.6, **look)


def _watched(of: Comparison) -> str:
    held_out = any(row["validation_accuracy"] is not None for run in of.runs for row in run.files.epochs)
    return "test accuracy" + (" (validation accuracy before the last epoch, where held out)" * held_out)


def _describe(of: Comparison) -> str:
    ends = "; ".join(f"{run.name} {percent(run.accuracy)}" for run in of.runs)
    return f"Accuracy and loss of {len(of.runs)} runs by epoch. Test accuracy in the last one: {ends}."
