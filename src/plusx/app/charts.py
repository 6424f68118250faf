"""Charts as SVG in the page's own colours: they follow the theme and need no library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 440, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 40


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        label: what the legend calls it.
        points: (x, y); an interruption where y is None, which still takes its place on the x axis.
        series: the number of its colour.
        dashed: drawn so.
    """

    label: str
    points: Sequence[tuple[float, float | None]]
    series: int = 0
    dashed: bool = False


def lines(
    drawn: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    log: bool = False,
    within: tuple[float, float] | None = None,
) -> Markup:
    """A chart of lines with its legend.

    Args:
        drawn: the lines; values that a logarithmic scale can't show are left out.
        x_label: what goes right.
        y_label: what goes up.
        log: y goes by powers of ten.
        within: what y covers at least, so that charts beside each other have one scale.

    >>> picture = lines([Line("a", [(0, 1.0), (1, 3.0)])], "epoch", "%")
    >>> picture.count("<polyline"), "epoch" in picture
    (1, True)
    """

    def scaled(value: float) -> float:
        return math.log10(value) if log else value

    def usable(value: float | None) -> bool:
        return value is not None and math.isfinite(value) and (value > 0 or not log)

    points = [(x, scaled(y)) for line in drawn for x, y in line.points if y is not None and usable(y)]
    if not points:
        return Markup("")
    reach = [y for _, y in points] + ([scaled(y) for y in within] if within else [])
    lowest, highest = min(reach), max(reach)
    y_ticks = ticks(lowest, highest, 5, whole=log)
    across = [x for line in drawn for x, _ in line.points]
    x_low, x_high = min(across), max(across)
    x_ticks = ticks(x_low, x_high, 6, whole=True)
    y_low, y_high = min(lowest, y_ticks[0]), max(highest, y_ticks[-1])

    def right(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (x - x_low) / ((x_high - x_low) or 1)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - y_low) / ((y_high - y_low) or 1)

    parts = [Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        WIDTH, HEIGHT, f"{y_label}: {', '.join(line.label for line in drawn)}"
    )]  # fmt: skip
    for tick in y_ticks:
        parts.append(Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
            LEFT, WIDTH - RIGHT, up(tick), up(tick)
        ))  # fmt: skip
        parts.append(Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
            LEFT - 6, up(tick) + 4, power(tick) if log else f"{tick:g}".replace("-", "−")
        ))  # fmt: skip
    for tick in x_ticks:
        parts.append(Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{:g}</text>').format(
            right(tick), HEIGHT - BOTTOM + 17, tick
        ))  # fmt: skip
    parts.append(Markup('<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>').format(
        WIDTH - RIGHT, HEIGHT - 4, x_label
    ))  # fmt: skip
    for line in drawn:
        dash = Markup(' stroke-dasharray="5 4"') if line.dashed else ""
        for piece in pieces([(x, y if usable(y) else None) for x, y in line.points]):
            places = " ".join(f"{right(x):.1f},{up(scaled(y)):.1f}" for x, y in piece)
            shape = Markup('<polyline class="series-{}" points="{}"{}/>').format(line.series, places, dash)
            if len(piece) == 1:
                shape = Markup('<circle class="series-{}" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(
                    line.series, right(piece[0][0]), up(scaled(piece[0][1]))
                )
            parts.append(shape)
    parts.append(Markup("</svg>"))
    return Markup('<figure class="drawing"><figcaption>{}</figcaption>{}{}</figure>').format(
        y_label, Markup("").join(parts), _legend(drawn)
    )


def _legend(drawn: Sequence[Line]) -> Markup:
    if len(drawn) < 2:
        return Markup("")
    entries = Markup("").join(
        Markup('<li class="series-{}{}">{}</li>').format(
            line.series, " dashed" if line.dashed else "", line.label
        )
        for line in drawn
    )
    return Markup('<ul class="legend">{}</ul>').format(entries)


def pieces(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """The stretches without an interruption.

    >>> pieces([(0, 1.0), (1, None), (2, 3.0), (3, 4.0)])
    [[(0, 1.0)], [(2, 3.0), (3, 4.0)]]
    """
    found: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            found.append([])
        else:
            found[-1].append((x, y))
    return [piece for piece in found if piece]


def ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Round numbers that cover low … high, at most `most` + 1 of them within.

    >>> ticks(0.0, 93.0, 5)
    [0, 20, 40, 60, 80, 100]
    >>> ticks(1, 10, 6, whole=True)
    [2, 4, 6, 8, 10]
    """
    size = (high - low) or abs(high) or 1.0
    unit = 10 ** math.floor(math.log10(size / most))
    step = next(s * unit for s in (1, 2, 5, 10) if size / (s * unit) <= most)
    if whole:
        step = max(1.0, round(step))
        first, last = math.ceil(low / step), math.floor(high / step)
        return [step * n for n in range(first, last + 1)] or [float(round(low))]
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * n, 10) for n in range(first, last + 1)]


def power(exponent: float) -> str:
    """Ten to a whole power, as one reads it.

    >>> power(-3), power(0), power(2)
    ('10⁻³', '1', '100')
    """
    if -1 <= exponent <= 3:
        return f"{10.0**exponent:g}"
    return "10" + f"{exponent:g}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def bars(rows: Sequence[tuple[str, float, str]], largest: float | None = None) -> Markup:
    """A table of bars: what it is, its size on a common scale, and the size as text.

    >>> bars([("cat", 0.9, "90 %")], 1.0).count("<tr>")
    1
    """
    scale = max([value for _, value, _ in rows], default=0.0) if largest is None else largest
    body = Markup("").join(
        Markup(
            '<tr><th scope="row">{}</th><td class="bar"><i style="width:{:.2f}%"></i></td><td>{}</td></tr>'
        ).format(name, 100 * value / (scale or 1.0), text)
        for name, value, text in rows
    )
    return Markup('<table class="bars">{}</table>').format(body)
