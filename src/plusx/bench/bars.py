"""Bars for how much each way does in a second, a panel for each network."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from plusx.report.style import LIGHT, WIDTH, applied, padded, to_png


class Bar(NamedTuple):
    """One way: its name at the left, its value as text, and its parts: length and colour of each."""

    name: str
    label: str
    parts: Sequence[tuple[float, str]]


def draw_bars(
    panels: Mapping[str, Sequence[Bar]], unit: str, legend: Mapping[str, str] | None = None
) -> bytes:
    """Draw a PNG; each panel, by title, has a scale of its own, since only its own bars are to be compared.

    Args:
        panels: bars by title; all have as many parts.
        unit: of the lengths.
        legend: what the parts' colours mean, colours by name.

    >>> draw_bars({"fast": [Bar("ours", "2,000", [(2000, LIGHT.test)])]}, "pictures a second")[1:4]
    b'PNG'
    """
    height = 0.2 + sum(0.6 + 0.2 * len(bars) for bars in panels.values()) + (0.6 if legend else 0)
    with applied(LIGHT):
        figure = Figure(figsize=(WIDTH, height), layout=padded())
        ratios = [0.6 + 0.2 * len(bars) for bars in panels.values()]
        places = figure.subplots(len(panels), 1, squeeze=False, height_ratios=ratios)[:, 0]
        for (title, bars), place in zip(panels.items(), places, strict=True):
            names, ends = [bar.name for bar in bars], [0.0] * len(bars)
            for parts in zip(*(bar.parts for bar in bars), strict=True):
                lengths, colours = zip(*parts, strict=True)
                edge = {"edgecolor": LIGHT.paper} if legend else {}  # between two parts
                drawn = place.barh(names, lengths, left=ends, color=colours, **edge)
                ends = [end + length for end, length in zip(ends, lengths, strict=True)]
            place.bar_label(drawn, [bar.label for bar in bars], padding=3, fontsize=8)
            place.invert_yaxis()
            place.set_title(title, loc="left", color=LIGHT.muted, fontsize=10)
            place.tick_params(axis="y", labelsize=8)
            place.grid(visible=False)
            place.set_xticks([])
            place.margins(x=0.12)
        places[-1].set_xlabel(unit)
        if legend:
            patches = [Patch(color=colour, label=name) for name, colour in legend.items()]
            figure.legend(handles=patches, loc="outside upper left", ncols=3, fontsize=8, frameon=False)
        return to_png(figure)
