"""The largest value in each window and the way back of its gradient (lesson: 最大池化).

O[y, x, c] = max_{0 ≤ i,j < K} I[y·s + i, x·s + j, c]
"""

from math import prod
from typing import Any

import torch
from torch import Tensor

from plusx.ops.loops import layout_of
from plusx.ops.pooling.backward import apply_or_forward
from plusx.ops.pooling.ways import way_for
from plusx.ops.pooling.windows import PoolGeometry, empty, taps
from plusx.ops.shape import Pair


class MaxPool(torch.autograd.Function):
    """`y = max over the taps`; the gradient goes to the tap that won, the first in row-major order.

        ∂L/∂x[q] = Σ ∂L/∂y[p]  over the windows p whose winning tap reads pixel q

    Padding never wins: it is left out. NaN wins over every number, as in torch.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, geometry: PoolGeometry) -> Tensor:
        """Keep the maximum and the tap that holds it."""
        ctx.size, ctx.geometry, ctx.layout = (x.shape[2], x.shape[3]), geometry, layout_of(x)
        y = empty(x, geometry.out, x.dtype, ctx.layout)
        winner = empty(x, geometry.out, torch.uint8 if prod(geometry.K) < 256 else torch.int32, ctx.layout)
        way_for(x, geometry).max_forward(x, geometry, y, winner)
        ctx.save_for_backward(winner)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Send each gradient to its winner."""
        (winner,) = ctx.saved_tensors
        return apply_or_forward(Scatter, grad, winner, ctx.size, ctx.geometry, ctx.layout), None


class Scatter(torch.autograd.Function):
    """`dx[q] = Σ_p g[p]` over the windows p whose winner reads q; linear in g, with the gradient `Gather`."""

    @staticmethod
    def forward(
        ctx: Any,
        grad: Tensor,
        winner: Tensor,
        size: Pair,
        geometry: PoolGeometry,
        layout: torch.memory_format,
    ) -> Tensor:
        """Write each pixel once."""
        ctx.save_for_backward(winner)
        ctx.size, ctx.geometry, ctx.layout = size, geometry, layout
        dx = empty(grad, size, grad.dtype, layout)
        way_for(dx, geometry).max_backward(grad, winner, geometry, dx)
        return dx

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, None, None, None, None]:
        """For v of x's shape: ∂/∂g[p] = v at the pixel that the winner of window p reads."""
        (winner,) = ctx.saved_tensors
        return Gather.apply(v, winner, ctx.size, ctx.geometry, ctx.layout), None, None, None, None


class Gather(torch.autograd.Function):
    """`y[p] = v at the pixel that the winner of window p reads`; its gradient is `Scatter`."""

    @staticmethod
    def forward(
        ctx: Any, v: Tensor, winner: Tensor, size: Pair, geometry: PoolGeometry, layout: torch.memory_format
    ) -> Tensor:
        """Walk over the taps; each fills the windows it won."""
        ctx.save_for_backward(winner)
        ctx.size, ctx.geometry, ctx.layout = size, geometry, layout
        y = empty(v, geometry.out, v.dtype, layout).zero_()
        for tap, there, here in taps(size, geometry):
            y[there] += torch.where(winner[there] == tap, v[here], 0)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        """Back to where it came from."""
        (winner,) = ctx.saved_tensors
        return Scatter.apply(grad, winner, ctx.size, ctx.geometry, ctx.layout), None, None, None, None
