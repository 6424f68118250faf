"""The mean of each window and the way back of its gradient (lesson: 平均池化).

O[y, x, c] = 1/K² · Σ_i Σ_j I[y·s + i, x·s + j, c]
"""

from typing import Any

import torch
from torch import Tensor

from plusx.ops.loops import layout_of
from plusx.ops.pooling.backward import apply_or_forward
from plusx.ops.pooling.ways import way_for
from plusx.ops.pooling.windows import PoolGeometry, empty
from plusx.ops.shape import Pair


class AveragePool(torch.autograd.Function):
    """`y[p] = Σ over the taps of x[p·s + i] / n[p]`; each term gets its share back (`AverageGradient`).

    ∂L/∂x[q] = Σ ∂L/∂y[p] / n[p]  over the windows p that contain pixel q
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, n: Tensor, size: Pair, geometry: PoolGeometry) -> Tensor:
        """Add the taps, in float32 at least, and divide."""
        ctx.save_for_backward(n)
        ctx.size, ctx.geometry, ctx.layout = size, geometry, layout_of(x)
        y = empty(x, geometry.out, x.dtype, ctx.layout)
        way_for(x, geometry).average_forward(x, n, geometry, y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        """Give each pixel its share."""
        (n,) = ctx.saved_tensors
        dx = apply_or_forward(AverageGradient, grad, n, ctx.size, ctx.geometry, ctx.layout)
        return dx, None, None, None


class AverageGradient(torch.autograd.Function):
    """`dx[q] = Σ_p g[p] / n[p] over the windows p that contain q`; its own gradient is `AveragePool`."""

    @staticmethod
    def forward(
        ctx: Any, grad: Tensor, n: Tensor, size: Pair, geometry: PoolGeometry, layout: torch.memory_format
    ) -> Tensor:
        """Walk over the taps the other way."""
        ctx.save_for_backward(n)
        ctx.size, ctx.geometry = size, geometry
        dx = empty(grad, size, grad.dtype, layout)
        way_for(dx, geometry).average_backward(grad, n, geometry, dx)
        return dx

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, None, None, None, None]:
        """Back to the mean."""
        (n,) = ctx.saved_tensors
        return AveragePool.apply(v, n, ctx.size, ctx.geometry), None, None, None, None
