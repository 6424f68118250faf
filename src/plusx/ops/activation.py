"""The rectifier, `y = max(x, 0)`."""

from typing import Any

import torch
from torch import Tensor

from plusx.ops import reference
from plusx.ops.engines import resolve


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
        """Pass the gradient where the output is not zero; a NaN is not zero."""
        (y,) = ctx.saved_tensors
        return grad.masked_fill(y <= 0, 0)


def relu(x: Tensor, *, engine: str | None = None) -> Tensor:
    """Return `max(x, 0)`, any shape.

    >>> relu(torch.tensor([-1.0, 0.0, 2.0])).tolist()
    [0.0, 0.0, 2.0]
    """
    match resolve(engine, "handmade"):
        case "reference":
            return reference.on_tensors(reference.relu, x)
        case "handmade":
            return Rectifier.apply(x)  # type: ignore[no-any-return]
        case "native":
            return torch.relu(x)
