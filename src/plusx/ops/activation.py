"""The rectifier, `y = max(x, 0)`."""

from typing import Any

import torch
from torch import Tensor

from plusx.ops import reference
from plusx.ops.chunks import chunks
from plusx.ops.engines import resolve
from plusx.ops.lesson_layout import from_lesson, to_lesson


class Rectifier(torch.autograd.Function):
    """`y = max(x, 0)`, so `∂L/∂x = ∂L/∂y` where y > 0 and 0 elsewhere (at x = 0 too)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Any shape."""
        y = x.clamp(min=0)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Stop the gradient where the output is 0; a NaN is not 0."""
        (y,) = ctx.saved_tensors
        if y.dim() == 0:
            return torch.where(y <= 0, 0, grad)
        dx = torch.empty_like(y)
        for chunk in chunks(y):
            dx[chunk] = torch.where(y[chunk] <= 0, 0, grad[chunk])
        return dx


def relu(x: Tensor, *, engine: str | None = None) -> Tensor:
    """Return `max(x, 0)`, any shape.

    >>> relu(torch.tensor([-1.0, 0.0, 2.0])).tolist()
    [0.0, 0.0, 2.0]
    """
    match resolve(engine, "native"):
        case "reference":
            return from_lesson(reference.relu(to_lesson(x)), x)
        case "handmade":
            return Rectifier.apply(x)  # type: ignore[no-any-return]
        case "native":
            return torch.relu(x)
