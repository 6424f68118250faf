"""The page of `plusx evaluate`: all that was measured, on one page that loads nothing."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from plusx.report.evaluation import Evaluation
from plusx.report.evaluation_figures import draw_corruptions, draw_reliability, words
from plusx.report.figures import describe_confusion, draw_confusion
from plusx.report.html import count, data_uri, fill, percent, picture_uri
from plusx.report.style import DARK, LIGHT, Theme


def render_evaluation(of: Evaluation, pictures: np.ndarray, facts: Mapping[str, str | int]) -> str:
    """Write the page.

    Args:
        of: what was measured.
        pictures: the test set, uint8 (N, H, W, 3); the worst mistakes are shown.
        facts: how it was measured, by name, and the `command` that does it again.
    """
    return fill(
        "evaluation.html.jinja",
        of=of,
        figures={theme.name: _figures(of, theme) for theme in (LIGHT, DARK)},
        alternatives={
            "confusion": describe_confusion(of.summary),
            "reliability": _describe_reliability(of),
            "corruptions": _describe_corruptions(of),
        },
        corruptions={words(kind): accuracies for kind, accuracies in (of.corruptions or {}).items()},
        mistakes=[_mistake(of, number, pictures) for number in range(len(of.summary.mistakes))],
        facts=facts,
    )


def _figures(of: Evaluation, theme: Theme) -> dict[str, str]:
    drawn = {
        "confusion": draw_confusion(of.summary, theme),
        "reliability": draw_reliability(of.reliability, theme),
    }
    if of.corruptions is not None:
        drawn["corruptions"] = draw_corruptions(of.accuracy, of.corruptions, theme)
    return {name: data_uri(png) for name, png in drawn.items()}


def _mistake(of: Evaluation, number: int, pictures: np.ndarray) -> dict[str, Any]:
    mistake = of.summary.mistakes[number]
    return {
        "address": picture_uri(pictures[mistake.index]),
        "predicted": mistake.predicted,
        "true": mistake.true,
        "confidence": mistake.confidence,
        "name": of.paths[mistake.index] if of.paths else f"test picture {mistake.index}",
    }


def _describe_reliability(of: Evaluation) -> str:
    filled = [found for found in of.reliability if found.pictures]
    told = "; ".join(
        f"{count(found.pictures)} answers {percent(found.confidence)} sure, {percent(found.accuracy)} right"
        for found in filled
    )
    return f"Reliability diagram. By confidence: {told}."


def _describe_corruptions(of: Evaluation) -> str:
    told = "; ".join(
        f"{words(kind)} {percent(accuracies[0])} to {percent(accuracies[-1])}"
        for kind, accuracies in (of.corruptions or {}).items()
    )
    return f"Accuracy on corrupted pictures, from the weakest strength to the strongest: {told}."
