"""Bars for how much each way does in a second, a panel for each network."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from plusx.report.style import LIGHT, WIDTH, applied, padded, to_png


class Bar(NamedTuple):
    """One way: its name at the left, its value as a length and as text, its colour."""

    name: str
    value: float
    label: str
    colour: str


def draw_bars(panels: Mapping[str, Sequence[Bar]], unit: str) -> bytes:
    """Draw a PNG; each panel, by title, has a scale of its own, since only its own bars are to be compared.

    >>> draw_bars({"fast": [Bar("ours", 2000, "2,000", LIGHT.test)]}, "pictures a second")[1:4]
    b'PNG'
    """
    height = 0.2 + sum(0.6 + 0.2 * len(bars) for bars in panels.values())
    with applied(LIGHT):
        figure = Figure(figsize=(WIDTH, height), layout=padded())
        ratios = [0.6 + 0.2 * len(bars) for bars in panels.values()]
        places = figure.subplots(len(panels), 1, squeeze=False, height_ratios=ratios)[:, 0]
        for (title, bars), place in zip(panels.items(), places, strict=True):
            drawn = place.barh(
                [bar.name for bar in bars], [bar.value for bar in bars], color=[bar.colour for bar in bars]
            )
            place.bar_label(drawn, [bar.label for bar in bars], padding=3, fontsize=8)
            place.invert_yaxis()
            place.set_title(title, loc="left", color=LIGHT.muted, fontsize=10)
            place.tick_params(axis="y", labelsize=8)
            place.grid(visible=False)
            place.set_xticks([])
            place.margins(x=0.12)
        places[-1].set_xlabel(unit)
        return to_png(figure)
