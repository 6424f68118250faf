"""The activations: the rectifier `max(x, 0)` and its smooth relative, hard swish."""

from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from plusx.ops import reference
from plusx.ops.chunks import chunks
from plusx.ops.engines import resolve
from plusx.ops.lesson_layout import from_lesson, to_lesson

Activation = Literal["identity", "relu", "hardswish"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)


def check_activation(name: str) -> None:
    """Refuse what is no activation.

    Raises:
        ValueError: for any other name.

    >>> check_activation("relu")
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}; got {name!r}")


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
            return Rectifier.apply(x)
        case "native":
            return torch.relu(x)


class HardSwish(torch.autograd.Function):
    """`y = x · min(max(x + 3, 0), 6) / 6`, so `dy/dx` is 0 below −3, (2x + 3) / 6 up to 3, and 1 beyond."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Any shape."""
        ctx.save_for_backward(x)
        return x * ((x + 3).clamp(0, 6) / 6)  # x · 6 alone would be too large for float16

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """From operations that can be differentiated once more."""
        (x,) = ctx.saved_tensors
        slope = torch.where(x <= -3, 0, torch.where(x >= 3, 1, (2 * x + 3) / 6))
        return grad * slope


def hardswish(x: Tensor, *, engine: str | None = None) -> Tensor:
    """Return `x · min(max(x + 3, 0), 6) / 6`, any shape: the rectifier with a smooth knee (arXiv 1905.02244).

    >>> hardswish(torch.tensor([-4.0, 0.0, 3.0])).tolist()
    [-0.0, 0.0, 3.0]
    """
    match resolve(engine, "native"):
        case "reference":
            return from_lesson(reference.hardswish(to_lesson(x)), x)
        case "handmade":
            return HardSwish.apply(x)
        case "native":
            return F.hardswish(x)


def activate(x: Tensor, activation: Activation, *, engine: str | None = None) -> Tensor:
    """Apply the activation of that name.

    Raises:
        ValueError: if there is none.

    >>> activate(torch.tensor([-1.0, 2.0]), "identity").tolist()
    [-1.0, 2.0]
    """
    check_activation(activation)
    match activation:
        case "identity":
            return x
        case "relu":
            return relu(x, engine=engine)
        case "hardswish":
            return hardswish(x, engine=engine)
