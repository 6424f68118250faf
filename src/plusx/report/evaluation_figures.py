"""The pictures of an evaluation that a run's report does not have: reliability and corruptions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from plusx.report.figures import label_ends, title
from plusx.report.intervals import wilson_interval
from plusx.report.measures import Bin
from plusx.report.style import WIDTH, Theme, applied, padded, to_png
from plusx.text import percent

_PERCENT = PercentFormatter(1.0, decimals=0, symbol=" %")
_THOUSANDS = FuncFormatter(lambda value, _: f"{value:,.0f}".replace(",", "\u202f"))


def draw_reliability(bins: Sequence[Bin], theme: Theme) -> bytes:
    """How often the network is right when it is so sure (Guo et al. 2017), and how often it is so sure.

    A bar is the 95 % interval of its bin's accuracy; on the diagonal, confidence keeps its word.
    """
    filled = [of for of in bins if of.pictures]
    sure, right = [of.confidence for of in filled], [of.accuracy for of in filled]
    ends = np.array([wilson_interval(round(of.accuracy * of.pictures), of.pictures) for of in filled])
    with applied(theme):
        figure = Figure(figsize=(WIDTH, 6.6), layout=padded())
        title(figure, "How sure it is, and how often it is right")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1.3))
        upper.plot([0, 1], [0, 1], color=theme.muted, linewidth=1.2, linestyle=(0, (4, 3)))
        along: dict[str, Any] = {"rotation": 45, "transform_rotates_text": True, "rotation_mode": "anchor"}
        upper.text(0.03, 0.05, "as often right as sure", color=theme.muted, **along)
        spread = np.abs(ends.T - np.array(right))
        upper.errorbar(sure, right, spread, color=theme.test, fmt="o", elinewidth=1.2, markeredgewidth=0)
        upper.set(xlim=(0, 1), ylim=(-0.02, 1.02))
        upper.set_title("right", loc="left", color=theme.muted, fontsize=10)
        upper.yaxis.set_major_formatter(_PERCENT)
        edges = [of.low for of in bins] + [bins[-1].high]
        lower.stairs([of.pictures for of in bins], edges, fill=True, color=theme.test, alpha=0.55)
        lower.set_title("pictures", loc="left", color=theme.muted, fontsize=10)
        lower.set_xlabel("confidence: probability of the answer given")
        lower.xaxis.set_major_formatter(_PERCENT)
        lower.yaxis.set_major_formatter(_THOUSANDS)
        lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        return to_png(figure)


def draw_corruptions(accuracy: float, corrupted: Mapping[str, Sequence[float]], theme: Theme) -> bytes:
    """Accuracy by strength, a line for each kind of corruption; strength 0 is the picture as it is."""
    with applied(theme):
        figure = Figure(figsize=(WIDTH, 4.4), layout=padded())
        title(figure, "Accuracy on corrupted pictures")
        axes = figure.add_subplot()
        ends = []
        for (kind, accuracies), colour in zip(corrupted.items(), theme.series, strict=False):
            axes.plot(range(len(accuracies) + 1), [accuracy, *accuracies], color=colour, marker="o")
            ends.append((accuracies[-1], f"{words(kind)} {percent(accuracies[-1], 1)}", colour))
        axes.set_xlim(-0.1, 5.1)
        axes.set_ylim(0, 1.02)
        axes.set_xticks(range(6), ["none", *map(str, range(1, 6))])
        axes.set_xlabel("strength")
        axes.yaxis.set_major_formatter(_PERCENT)
        label_ends(axes, ends)
        return to_png(figure)


def words(kind: str) -> str:
    """The name of a corruption for a reader.

    >>> words("gaussian_noise"), words("jpeg_compression")
    ('Gaussian noise', 'JPEG compression')
    """
    return kind.replace("_", " ").replace("gaussian", "Gaussian").replace("jpeg", "JPEG")
