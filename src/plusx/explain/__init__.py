"""Why a network answers as it does: `explain(plusx.load("cifar10"), "cat.jpg")`, and pictures of it.

`explain` computes arrays; `draw` makes one picture of them, `render_page` a page, `write` both as files. It
needs captum: `pip install "plusx[explain]"`.
"""

from plusx.explain.attribution import IntegratedGradients, grad_cam, integrated_gradients
from plusx.explain.explanation import Explanation, explain
from plusx.explain.features import StageMaps, Unit, stage_maps
from plusx.explain.figure import draw
from plusx.explain.output import write
from plusx.explain.page import render_page

__all__ = [
    "Explanation",
    "IntegratedGradients",
    "StageMaps",
    "Unit",
    "draw",
    "explain",
    "grad_cam",
    "integrated_gradients",
    "render_page",
    "stage_maps",
    "write",
]
