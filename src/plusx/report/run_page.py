"""The report page: everything about a run in one HTML file that loads nothing and runs no script."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from plusx.report.figures import describe_confusion
from plusx.report.html import data_uri, fill, percent
from plusx.report.intervals import wilson_interval
from plusx.report.run_files import RunFiles
from plusx.report.summary import Summary
from plusx.text import counted, visible

Drawings = Mapping[str, Mapping[str, bytes]]
"""Theme name → figure name → PNG."""


def render_page(run: RunFiles, summary: Summary, drawings: Drawings) -> str:
    """Fill the template with a run's files, its summary and its figures in both themes."""
    result = run.result
    reported_correct = round(result["test_accuracy"] * summary.total)
    return fill(
        "run.html.jinja",
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


def _describe_curves(run: RunFiles) -> str:
    last = run.epochs[-1]
    return (
        f"Accuracy, loss and learning rate over {counted(len(run.epochs), 'epoch')}. In the last one: "
        f"train accuracy {percent(last['train_accuracy'])}, test accuracy {percent(last['test_accuracy'])}."
    )


def _describe_mistakes(summary: Summary) -> str:
    if not summary.mistakes:
        return "No mistakes to show."
    listed = (
        f"{mistake.true} taken for {mistake.predicted} ({percent(mistake.confidence, 0)})"
        for mistake in summary.mistakes
    )
    return f"Pictures named wrong, the surest first: {'; '.join(listed)}."
