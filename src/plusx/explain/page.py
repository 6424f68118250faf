"""Explanations of several pictures as one page that loads nothing and runs no script."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from plusx.explain import wording
from plusx.explain.explanation import Explanation
from plusx.explain.features import StageMaps
from plusx.explain.panels import OUTLINE, feature_maps, heat, seen, signed
from plusx.models import Box, Card
from plusx.report.html import fill, picture_uri


class Panel(NamedTuple):
    """A small picture with what it shows in words, and a rectangle on it."""

    address: str
    height: int
    width: int
    alternative: str
    box: Box | None


def render_page(explanations: Mapping[str, Explanation], card: Card) -> str:
    """Fill the template.

    Args:
        explanations: by the name of the picture.
        card: of the network.
    """
    return fill(
        "explanations.html.jinja",
        "plusx.explain",
        "plusx.report",
        card=card,
        outline=OUTLINE,
        pictures=[_picture(name, explanation) for name, explanation in explanations.items()],
    )


def _picture(name: str, explanation: Explanation) -> dict[str, Any]:
    """What the template says and shows of one picture."""
    shown = (
        (wording.picture(explanation), explanation.picture),
        (wording.grad_cam(explanation), heat(explanation.picture, explanation.grad_cam)),
        (wording.integrated_gradients(explanation), signed(explanation.integrated_gradients.values)),
    )
    return {
        "name": name,
        "answer": wording.answer(explanation),
        "remark": wording.remark(explanation),
        "doubtful": explanation.answer.doubtful,
        "panels": [(caption, _panel(array, f"{caption.what}, {caption.how}")) for caption, array in shown],
        "stages": [
            (maps.name, wording.stage(maps), _stage_panels(explanation, maps)) for maps in explanation.stages
        ],
        "numbers": wording.numbers(explanation),
    }


def _stage_panels(explanation: Explanation, maps: StageMaps) -> list[Panel]:
    unit = maps.unit
    its_place = Box(unit.row, unit.column, unit.row + 1, unit.column + 1)
    sees = _panel(seen(explanation.picture, unit.gradient), f"What the unit of {maps.name} sees", unit.field)
    return [
        sees,
        *(
            _panel(one, f"{maps.name}, channel {channel}", its_place if channel == unit.channel else None)
            for channel, one in zip(maps.channels, feature_maps(maps.maps), strict=True)
        ),
    ]


def _panel(array: np.ndarray, alternative: str, box: Box | None = None) -> Panel:
    height, width = array.shape[:2]
    return Panel(picture_uri(array), height, width, alternative, box)
