"""The report page: everything about a run in one HTML file that loads nothing and runs no script."""

import base64
import re
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import plusx
from plusx import text
from plusx.report.intervals import wilson_interval
from plusx.report.run_files import RunFiles
from plusx.report.summary import Summary
from plusx.text import visible

Drawings = Mapping[str, Mapping[str, bytes]]
"""Theme name → figure name → PNG."""


@cache
def environment(*rooms: str) -> Environment:
    """Jinja for the templates of these rooms: texts are escaped, and what a template lacks is an error.

    Characters that would act instead of being seen are escapes, as on the screen.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(room) for room in rooms]),
        autoescape=True,
        finalize=lambda value: visible(value) if type(value) is str else value,  # no Markup
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def fill(template: str, **values: Any) -> str:
    """Fill a template of this room."""
    jinja = environment("plusx.report")
    jinja.filters |= {"percent": percent, "count": count, "duration": duration, "mebibytes": mebibytes}
    return jinja.get_template(template).render(version=plusx.__version__, **values)


def render_page(run: RunFiles, summary: Summary, drawings: Drawings) -> str:
    """Fill the template with a run's files, its summary and its figures in both themes."""
    result = run.result
    reported_correct = round(result["test_accuracy"] * summary.total)
    return fill(
        "page.html.jinja",
        result=result,
        epochs=run.epochs,
        has_validation=any(row["validation_accuracy"] is not None for row in run.epochs),
        summary=summary,
        hardest_first=sorted(summary.class_rows, key=lambda row: (row.accuracy is None, row.accuracy)),
        interval=wilson_interval(reported_correct, summary.total),
        evaluated_again=summary.correct != reported_correct,
        figures={theme: {name: data_uri(png) for name, png in of.items()} for theme, of in drawings.items()},
        alternatives={
            "curves": _describe_curves(run),
            "confusion": describe_confusion(summary),
            "mistakes": _describe_mistakes(summary),
        },
        terminal=None if run.terminal is None else inline_svg(run.terminal),
        settings=Markup("\n").join(map(visible, run.settings.splitlines())),
        environment=run.environment,
        command=reproduce_command(run.directory, str(run.environment.get("command", ""))),
    )


def reproduce_command(run: Path, typed: str) -> str:
    """The command line that trains the same run again: what was typed, unless that resumed the run.

    >>> reproduce_command(Path("my runs/a"), "plusx train --resume 'my runs/a'")
    "plusx train 'my runs/a/recipe.toml'"
    """
    if typed.startswith("plusx train") and "--resume" not in typed:
        return typed
    # Every setting is in the recipe, those that a command had given too.
    return shlex.join(["plusx", "train", str(run / "recipe.toml")])


def inline_svg(svg: str) -> Markup:
    """An SVG file as markup inside a page: without its prolog, and without fonts from the network.

    rich names a web font and a local fallback; the fallback is enough, as every glyph has its place.

    >>> print(inline_svg('<?xml version="1.0"?><svg><style>@font-face {src: url(x)} a {}</style></svg>'))
    <svg><style> a {}</style></svg>
    """
    without_fonts = re.sub(r"@font-face\s*\{[^}]*\}", "", svg)
    return Markup(without_fonts[without_fonts.index("<svg") :])


def percent(share: float | None) -> str:
    """As `plusx.text.percent`, with a space at which no line ends.

    >>> percent(0.9341), percent(None)
    ('93.41\\xa0%', '–')
    """
    return text.percent(share).replace(" ", "\u00a0")


def count(number: float) -> str:
    """A whole number with narrow spaces between thousands.

    >>> count(11173962)
    '11\\u202f173\\u202f962'
    """
    return f"{number:,.0f}".replace(",", "\u202f")


def duration(seconds: float | None) -> str:
    """Seconds for a reader, a dash for none.

    >>> duration(41.23), duration(418), duration(7384), duration(None)
    ('41.2\\xa0s', '6\\xa0min 58\\xa0s', '2\\xa0h 3\\xa0min', '–')
    """
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\u00a0min {rest}\u00a0s"
    return f"{minutes // 60}\u00a0h {minutes % 60}\u00a0min"


def mebibytes(size: float | None) -> str:
    """Bytes in MiB, a dash for none.

    >>> mebibytes(1 << 30)
    '1\\u202f024\\xa0MiB'
    """
    return "–" if size is None else f"{count(size / 2**20)}\u00a0MiB"


def data_uri(png: bytes) -> str:
    """A picture as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _describe_curves(run: RunFiles) -> str:
    last = run.epochs[-1]
    return (
        f"Accuracy, loss and learning rate over {len(run.epochs)} epochs. In the last one: "
        f"train accuracy {percent(last['train_accuracy'])}, test accuracy {percent(last['test_accuracy'])}."
    )


def describe_confusion(summary: Summary) -> str:
    """The confusion matrix in a sentence, for those who don't see it."""
    worst = max(summary.class_rows, key=lambda row: row.confused)
    if worst.confused_with is None:
        return f"Confusion matrix of {len(summary.classes)} classes without a mistake."
    return (
        f"Confusion matrix of {len(summary.classes)} classes. The most frequent mistake: {worst.name} "
        f"taken for {worst.confused_with}, {worst.confused} of {worst.total} pictures."
    )


def _describe_mistakes(summary: Summary) -> str:
    if not summary.mistakes:
        return "No mistakes to show."
    listed = (
        f"{mistake.true} taken for {mistake.predicted} ({text.percent(mistake.confidence, 0)})"
        for mistake in summary.mistakes
    )
    return f"Pictures named wrong, the surest first: {'; '.join(listed)}."
