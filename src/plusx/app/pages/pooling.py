"""Pooling: a grid of numbers that can be edited, its windows, its gradient; a picture, and the shift test."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from plusx import ops
from plusx.app import drawing
from plusx.app.forms import FieldError, Form
from plusx.app.numbers import percent
from plusx.app.page import House, Page
from plusx.app.texts import Texts
from plusx.lab.translation import shifted

KINDS = ("max", "average", "global_max", "global_average")
LESSON = ((1.0, 4.0, 2.0, 8.0), (3.0, 9.0, 5.0, 7.0), (2.0, 6.0, 4.0, 1.0), (5.0, 3.0, 7.0, 2.0))
LARGEST = 8
PICTURE = 64


def pool(x: Tensor, kind: str, K: int, S: int) -> Tensor:
    """Pool (N, C, H, W) by the engine.

    >>> pool(torch.tensor(LESSON)[None, None], "max", 2, 2).flatten().tolist()
    [9.0, 8.0, 6.0, 7.0]
    """
    with ops.engine("native"):
        match kind:
            case "max":
                return ops.max_pool2d(x, K, S)
            case "average":
                return ops.avg_pool2d(x, K, S)
            case "global_max":
                return ops.global_max_pool2d(x)
            case _:
                return ops.global_avg_pool2d(x)


def grid(form: Form, side: int) -> Tensor:
    """The numbers in the grid, float64 (side, side): the lesson's, cut or repeated, until they are edited."""
    sent = form.numbers("v", LARGEST**2)
    given = round(len(sent) ** 0.5)
    values = np.reshape(sent, (given, given)) if sent and given**2 == len(sent) else np.array(LESSON)
    repeats = -(-side // len(values))
    return torch.from_numpy(np.tile(values, (repeats, repeats))[:side, :side].copy())


def flow(x: Tensor, kind: str, K: int, S: int) -> Tensor:
    """∂(sum of the outputs)/∂x, of the shape of x: what arrives of every output's gradient, 1."""
    leaf = x.clone().requires_grad_()
    pool(leaf, kind, K, S).sum().backward()
    assert leaf.grad is not None
    return leaf.grad


def compute(form: Form, house: House, texts: Texts) -> dict[str, Any]:
    """Pool the grid and the picture."""
    kind = form.choice("kind", KINDS)
    side = form.whole("n", 4, 2, LARGEST)
    K, S = form.whole("k", 2, 1, LARGEST), form.whole("s", 2, 1, LARGEST)
    everywhere = kind.startswith("global")
    if not everywhere and side < K:
        raise FieldError("k", "too_wide", K=K, side=side)
    x = grid(form, side)
    y = pool(x[None, None], kind, K, S)[0, 0]
    K_shown, S_shown = (side, 1) if everywhere else (K, S)
    row = min(form.whole("y", 0, 0, LARGEST), y.shape[0] - 1)
    column = min(form.whole("x", 0, 0, LARGEST), y.shape[1] - 1)
    return {
        "kind": kind,
        "kinds": [(name, texts[f"kind_{name}"]) for name in KINDS],
        "everywhere": everywhere,
        "n": side,
        "LARGEST": LARGEST,
        "K": K,
        "S": S,
        "values": x.tolist(),
        "largest": x.abs().max().item(),
        "pooled": y.tolist(),
        "H_out": ops.output_size(side, K_shown, S_shown),
        "y": row,
        "x": column,
        "window": (row * S_shown, column * S_shown, K_shown),
        "with_gradient": form.ticked("gradient"),
        "gradient": flow(x[None, None], kind, K, S)[0, 0].tolist(),
        **picture(form, house, texts, kind, K, S),
    }


def picture(form: Form, house: House, texts: Texts, kind: str, K: int, S: int) -> dict[str, Any]:
    """The same window over a picture, and what a shift of the picture leaves of each way of pooling."""
    name = form.text("picture", "cat")
    right, down = form.whole("right", 1, 0, 8), form.whole("down", 0, 0, 8)
    pixels = house.shelf.pixels(name, PICTURE)
    moved = shifted(pixels[None], down, right)[0]
    both = torch.stack([_grey(pixels), _grey(moved)])[:, None]
    here, there = pool(both, kind, K, S)[:, 0].numpy()
    return {
        "picture": name,
        "right": right,
        "down": down,
        "pixels": PICTURE,
        "before": (drawing.photo(np.asarray(Image.fromarray(pixels).convert("L"))), drawing.grey(here)),
        "after": (drawing.photo(np.asarray(Image.fromarray(moved).convert("L"))), drawing.grey(there)),
        "pooled_size": here.shape,
        "changes": [
            (texts[key], change, percent(change))
            for key, change in ((key, _change(both, *how)) for key, how in WAYS.items())
        ],
    }


WAYS = {
    "way_none": ("max", 1),
    "way_max_2": ("max", 2),
    "way_max_8": ("max", 8),
    "way_average_2": ("average", 2),
    "way_average_8": ("average", 8),
    "way_global_max": ("global_max", 1),
    "way_global_average": ("global_average", 1),
}


def _change(both: Tensor, kind: str, K: int) -> float:
    """‖pool(moved) − pool(x)‖ / ‖pool(x)‖."""
    here, there = pool(both, kind, K, K)
    return ((there - here).norm() / here.norm().clamp_min(1e-12)).item()


def _grey(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(Image.fromarray(pixels).convert("L"), np.float64) / 255)


PAGE = Page("pooling", compute)
