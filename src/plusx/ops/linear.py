"""The fully connected layer's arithmetic (lesson: 全连接网络)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from plusx.ops import reference
from plusx.ops.engines import resolve
from plusx.ops.lesson_layout import from_lesson, to_lesson, vector
from plusx.ops.precision import as_given, for_product


class Linear(torch.autograd.Function):
    """`y = x Wᵀ + b`.

    Written out, `y[n, o] = Σ_i x[n, i] W[o, i] + b[o]`, so with G = ∂L/∂y

        ∂L/∂x[n, i] = Σ_o G[n, o] W[o, i]    that is  G W
        ∂L/∂W[o, i] = Σ_n G[n, o] x[n, i]    that is  Gᵀ x
        ∂L/∂b[o]    = Σ_n G[n, o]
    """

    @staticmethod
    @as_given
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Map (N, in) to (N, out)."""
        ctx.save_for_backward(x, weight)
        y = x @ weight.T
        return y if bias is None else y + bias

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Two products and a sum."""
        x, weight = ctx.saved_tensors
        return _gradients(grad, x, weight, ctx.needs_input_grad)


@as_given
def _gradients(
    grad: Tensor, x: Tensor, weight: Tensor, needed: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    return (
        grad @ weight if needed[0] else None,
        grad.T @ x if needed[1] else None,
        grad.sum(0) if needed[2] else None,
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, engine: str | None = None) -> Tensor:
    """Return `x Wᵀ + b`.

    Args:
        x: (…, in).
        weight: (out, in).
        bias: (out,) or None.
        engine: see `plusx.ops.engine`.

    Returns:
        (…, out).

    Raises:
        ValueError: if the sizes do not fit.

    >>> linear(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([5.0])).tolist()
    [[16.0]]
    """
    if weight.dim() != 2 or x.dim() < 1 or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"x {tuple(x.shape)} does not fit weight {tuple(weight.shape)}: (…, in) and (out, in)"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias {tuple(bias.shape)} does not fit weight {tuple(weight.shape)}: (out,)")
    chosen = resolve(engine, "native")
    if chosen != "native":
        x, weight, bias = for_product(x), for_product(weight), for_product(bias)
        if any(t.dtype != x.dtype for t in (weight, bias) if t is not None):
            raise ValueError("x, weight and bias must have one dtype")
    if x.dim() == 1:
        return linear(x[None], weight, bias, engine=chosen)[0]
    out = (*x.shape[:-1], weight.shape[0])
    match chosen:
        case "reference":
            y = reference.linear(to_lesson(x.flatten(0, -2)), to_lesson(weight), vector(bias))
            return from_lesson(y, x).reshape(out)
        case "native":
            return F.linear(x, weight, bias)
        case "handmade":
            rows: Tensor = Linear.apply(x.flatten(0, -2), weight, bias)
            return rows.reshape(out)
