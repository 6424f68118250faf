"""An explanation as one picture."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from plusx.explain import wording
from plusx.explain.explanation import Explanation
from plusx.explain.features import CHANNELS_SHOWN, StageMaps
from plusx.explain.panels import OUTLINE, feature_maps, heat, seen, signed
from plusx.report.style import DPI, LIGHT, applied, shorten, to_png
from plusx.text import visible

# Pixels. The three large panels are as wide as the row of a stage: what its unit sees, and its maps.
_MARGIN, _GAP, _LARGE = 40, 20, 414
_SMALL = (3 * _LARGE + 2 * _GAP - CHANNELS_SHOWN * _GAP) // (1 + CHANNELS_SHOWN)
_WIDTH = 2 * _MARGIN + 3 * _LARGE + 2 * _GAP
_TITLE, _CAPTION, _STAGE_TITLE = 180, 96, 80


class _Sheet:
    """A figure on which things lie by pixels from its top left corner."""

    def __init__(self, height: int) -> None:
        self.height = height
        self.figure = Figure(figsize=(_WIDTH / DPI, height / DPI))

    def place(self, left: int, top: int, side: int, picture: np.ndarray) -> Axes:
        """A picture, its pixels as squares."""
        corner = (left / _WIDTH, 1 - (top + side) / self.height)
        axes = self.figure.add_axes((*corner, side / _WIDTH, side / self.height), frame_on=False)
        axes.imshow(picture, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        return axes

    def write(self, left: int, top: int, text: str, **style: Any) -> None:
        """A line of text."""
        self.figure.text(left / _WIDTH, 1 - top / self.height, text, va="top", **style)


def draw(explanation: Explanation, name: str) -> bytes:
    """Picture, Grad-CAM and integrated gradients; below, a row for each stage: what its unit sees, its maps.

    Args:
        explanation: see `plusx.explain.explain`.
        name: of the picture, for the title.

    Returns:
        A PNG, 1362 pixels wide.
    """
    stages_from = _TITLE + _LARGE + _CAPTION
    with applied(LIGHT):
        sheet = _Sheet(stages_from + len(explanation.stages) * (_STAGE_TITLE + _SMALL) + _MARGIN)
        sheet.write(_MARGIN, 34, shorten(wording.answer(explanation), 40), fontsize=14, weight="bold")
        colour = LIGHT.train if explanation.answer.doubtful else LIGHT.ink
        sheet.write(_MARGIN, 88, shorten(wording.remark(explanation), 90), fontsize=8.5, color=colour)
        sheet.write(_MARGIN, 124, shorten(visible(name), 90), fontsize=8, color=LIGHT.muted)
        panels = (
            (wording.picture(explanation), explanation.picture),
            (wording.grad_cam(explanation), heat(explanation.picture, explanation.grad_cam)),
            (wording.integrated_gradients(explanation), signed(explanation.integrated_gradients.values)),
        )
        for column, (caption, picture) in enumerate(panels):
            left = _MARGIN + column * (_LARGE + _GAP)
            sheet.place(left, _TITLE, _LARGE, picture)
            sheet.write(left, _TITLE + _LARGE + 14, caption.what, fontsize=8)
            sheet.write(left, _TITLE + _LARGE + 44, shorten(caption.how, 36), fontsize=7.5, color=LIGHT.muted)
        for row, maps in enumerate(explanation.stages):
            top = stages_from + row * (_STAGE_TITLE + _SMALL)
            sheet.write(_MARGIN, top + 42, maps.name, fontsize=8.5, weight="bold")
            sheet.write(_MARGIN + 120, top + 43, wording.stage(maps), fontsize=8, color=LIGHT.muted)
            _draw_stage(sheet, explanation, maps, top + _STAGE_TITLE)
        return to_png(sheet.figure)


def _draw_stage(sheet: _Sheet, explanation: Explanation, maps: StageMaps, top: int) -> None:
    unit, field = maps.unit, maps.unit.field
    outline: dict[str, Any] = {"fill": False, "edgecolor": OUTLINE, "linewidth": 1.5, "clip_on": False}
    axes = sheet.place(_MARGIN, top, _SMALL, seen(explanation.picture, unit.gradient))
    size = (field.right - field.left, field.bottom - field.top)
    axes.add_patch(Rectangle((field.left - 0.5, field.top - 0.5), *size, **outline))
    for column, (channel, one) in enumerate(zip(maps.channels, feature_maps(maps.maps), strict=True)):
        axes = sheet.place(_MARGIN + (column + 1) * (_SMALL + _GAP), top, _SMALL, one)
        if channel == unit.channel:
            axes.add_patch(Rectangle((unit.column - 0.5, unit.row - 0.5), 1, 1, **outline))
