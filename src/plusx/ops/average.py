"""The mean of each window and the way back of its gradient (lesson: 平均池化).

O[y, x, c] = 1/K² · Σ_i Σ_j I[y·s + i, x·s + j, c]
"""

from typing import Any

import torch
from torch import Tensor

from plusx.ops import loops
from plusx.ops.average_loops import average_loops
from plusx.ops.chunks import chunks
from plusx.ops.cores import share as share_work
from plusx.ops.shape import Pair
from plusx.ops.windows import Geometry, empty, layout_of, taps


class AveragePool(torch.autograd.Function):
    """`y[p] = Σ over the taps of x[p·s + i] / n[p]`; each term receives its share of the gradient (`Spread`).

    ∂L/∂x[q] = Σ ∂L/∂y[p] / n[p]  over the windows p that contain pixel q
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, n: Tensor, size: Pair, geometry: Geometry) -> Tensor:
        """Add the taps, in float32 at least, and divide."""
        ctx.save_for_backward(n)
        ctx.size, ctx.geometry = size, geometry
        ctx.layout = layout_of(x)
        y = empty(x, geometry.out, x.dtype, ctx.layout)
        if loops.serve(x):
            _run_loops(0, x, n, size, geometry, y, ctx.layout)
            return y
        for chunk in chunks(x):
            total = torch.zeros_like(y[chunk], dtype=n.dtype)
            for _, there, here in taps(size, geometry):
                total[there] += x[chunk][here]
            y[chunk] = total / n
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        """Give each pixel its share."""
        (n,) = ctx.saved_tensors
        return Spread.apply(grad, n, ctx.size, ctx.geometry, ctx.layout), None, None, None


class Spread(torch.autograd.Function):
    """`dx[q] = Σ_p g[p] / n[p] over the windows p that contain q`; its own gradient is `AveragePool`."""

    @staticmethod
    def forward(
        ctx: Any, grad: Tensor, n: Tensor, size: Pair, geometry: Geometry, layout: torch.memory_format
    ) -> Tensor:
        """Walk over the taps the other way."""
        ctx.save_for_backward(n)
        ctx.size, ctx.geometry = size, geometry
        dx = empty(grad, size, grad.dtype, layout)
        if loops.serve(grad):
            _run_loops(1, grad, n, size, geometry, dx, layout)
            return dx
        for chunk in chunks(dx):
            total, share = torch.zeros_like(dx[chunk], dtype=n.dtype), grad[chunk] / n
            for _, there, here in taps(size, geometry):
                total[here] += share[there]
            dx[chunk] = total
        return dx

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, None, None, None, None]:
        """Back to the mean."""
        (n,) = ctx.saved_tensors
        return AveragePool.apply(v, n, ctx.size, ctx.geometry), None, None, None, None


def _run_loops(
    which: int,
    source: Tensor,
    n: Tensor,
    size: Pair,
    geometry: Geometry,
    target: Tensor,
    layout: torch.memory_format,
) -> None:
    """Forward (0) from x to y, or backward (1) from ∂L/∂y to ∂L/∂x."""
    K, *rest = geometry
    steps, counts = tuple(rest), n.numpy()
    read, written = loops.as_pictures(source, layout), loops.as_pictures(target, layout)
    run = average_loops(*K)[which if layout == torch.channels_last else which + 2]
    channels = (source.shape[1],) if layout == torch.channels_last else ()
    share_work(lambda part: run(read[part], *channels, size, steps, counts, written[part]), len(read))


class GlobalAveragePool(torch.autograd.Function):
    """`y = 1/(H·W) · Σ x` over a feature map, so every pixel receives `∂L/∂y / (H·W)`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Add up and divide."""
        ctx.shape = x.shape
        return x.mean((2, 3), keepdim=True)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """The same share for everyone."""
        share: Tensor = grad / (ctx.shape[2] * ctx.shape[3])
        return share.expand(ctx.shape)
