"""Global pooling: the largest number and the mean of each feature map (lesson: 全局池化).

max:      O[c] = max_{y,x} I[y, x, c]
average:  O[c] = 1/(H·W) · Σ_y Σ_x I[y, x, c]
"""

from typing import Any

import torch
from torch import Tensor

from plusx.ops import loops
from plusx.ops.loops import layout_of
from plusx.ops.parts import parts
from plusx.ops.pooling import global_loops
from plusx.ops.pooling.backward import apply_or_forward
from plusx.ops.pooling.windows import empty
from plusx.ops.shape import Pair


class GlobalMaxPool(torch.autograd.Function):
    """`y = max over all pixels of a feature map`; the gradient goes to the pixel that holds it, the first.

    Of several NaN it is the last by loops, as in torch, and the first elsewhere.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Look each map's winner up."""
        if loops.suits(x):
            y, winner = _largest(x)
        else:
            flat = x.flatten(2)
            winner = flat.argmax(2, keepdim=True)
            y = flat.gather(2, winner)[..., None]
        ctx.size, ctx.layout = (x.shape[2], x.shape[3]), layout_of(x)
        ctx.save_for_backward(winner)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Put the gradient where the winner was, zeros elsewhere."""
        (winner,) = ctx.saved_tensors
        return apply_or_forward(Place, grad, winner, ctx.size, ctx.layout)


class Place(torch.autograd.Function):
    """`dx[winner] = g`, zeros elsewhere; linear in g, and its gradient reads v at the winner."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, winner: Tensor, size: Pair, layout: torch.memory_format) -> Tensor:
        """Write each map once."""
        ctx.save_for_backward(winner)
        dx = empty(grad, size, grad.dtype, layout)
        if loops.suits(dx):
            _place(grad, winner, dx, layout)
            return dx
        return dx.zero_().flatten(2).scatter(2, winner.long(), grad[..., 0]).view(dx.shape)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, None, None, None]:
        """∂/∂g = v at the winner."""
        (winner,) = ctx.saved_tensors
        return v.flatten(2).gather(2, winner.long())[..., None], None, None, None


class GlobalAveragePool(torch.autograd.Function):
    """`y = 1/(H·W) · Σ x` over a feature map, so every pixel receives `∂L/∂y / (H·W)`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Add up, in float32 at least, and divide."""
        ctx.shape = x.shape
        return _mean(x) if loops.suits(x) else x.mean((2, 3), keepdim=True)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """The same share for everyone."""
        portion: Tensor = grad / (ctx.shape[2] * ctx.shape[3])
        return portion.expand(ctx.shape)


def _maps(x: Tensor, layout: torch.memory_format) -> Any:
    """One number a feature map, (N, C, 1[, 1]), as the loops want it: (N, C), or (N·C,) for planes."""
    flat = x.detach().reshape(x.shape[:2])
    return loops.as_array(flat if layout == torch.channels_last else flat.flatten())


def _largest(x: Tensor) -> tuple[Tensor, Tensor]:
    layout, lowest, C = layout_of(x), loops.widened(x, -torch.inf), x.shape[1]
    y, winner = x.new_empty(*x.shape[:2], 1, 1), x.new_empty(*x.shape[:2], 1, dtype=torch.int32)
    pictures, best, won = loops.as_pictures(x, layout), _maps(y, layout), _maps(winner, layout)
    if layout == torch.channels_last:
        global_loops.max_forward(parts(pictures), pictures, C, lowest, best, won)
    else:
        global_loops.plane_max_forward(parts(pictures), pictures, lowest, best, won)
    return y, winner


def _place(grad: Tensor, winner: Tensor, dx: Tensor, layout: torch.memory_format) -> None:
    gradients, won, pixels = _maps(grad, layout), _maps(winner, layout), loops.as_pictures(dx, layout)
    if layout == torch.channels_last:
        global_loops.max_backward(parts(pixels), gradients, grad.shape[1], won, pixels)
    else:
        global_loops.plane_max_backward(parts(pixels), gradients, won, pixels)


def _mean(x: Tensor) -> Tensor:
    layout, nought, C = layout_of(x), loops.widened(x, 0.0), x.shape[1]
    y = x.new_empty(*x.shape[:2], 1, 1)
    pictures, means = loops.as_pictures(x, layout), _maps(y, layout)
    if layout == torch.channels_last:
        global_loops.mean(parts(pictures), pictures, C, nought, means)
    else:
        global_loops.plane_mean(parts(pictures), pictures, nought, means)
    return y
