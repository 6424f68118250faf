"""The mean of each window and the way back of its gradient (lesson: 平均池化).

O[y, x, c] = 1/K² · Σ_i Σ_j I[y·s + i, x·s + j, c]
"""

from typing import Any

import torch
from torch import Tensor

from plusx.ops import average_planes, loops
from plusx.ops.average_loops import average_loops
from plusx.ops.average_planes import tiled_loops
from plusx.ops.chunks import chunks
from plusx.ops.cores import share as share_work
from plusx.ops.planes import in_wide_tiles, lay_out
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
            _mean_in_loops(x, n, geometry, y, ctx.layout)
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
            _spread_in_loops(grad, n, geometry, dx, layout)
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


def _mean_in_loops(x: Tensor, n: Tensor, geometry: Geometry, y: Tensor, layout: torch.memory_format) -> None:
    size, counts = (x.shape[2], x.shape[3]), n.flatten().numpy()
    pictures, means = loops.as_pictures(x, layout), loops.as_pictures(y, layout)
    if layout == torch.channels_last:
        forward, _ = average_loops(*geometry.K)
        channels, steps = x.shape[1], geometry[1:]
        share_work(
            lambda part: forward(pictures[part], channels, size, steps, counts, means[part]), len(pictures)
        )
    elif in_wide_tiles(size, geometry):
        forward, _ = tiled_loops(*geometry.K)
        share_work(lambda part: forward(pictures[part], size[1], counts[0], means[part]), len(pictures))
    else:
        planes = lay_out(size, geometry)
        share_work(
            lambda part: average_planes.forward(pictures[part], planes, counts, means[part]), len(pictures)
        )


def _spread_in_loops(
    grad: Tensor, n: Tensor, geometry: Geometry, dx: Tensor, layout: torch.memory_format
) -> None:
    size, counts = (dx.shape[2], dx.shape[3]), n.flatten().numpy()
    gradients, pixels = loops.as_pictures(grad, layout), loops.as_pictures(dx, layout)
    if layout == torch.channels_last:
        _, backward = average_loops(*geometry.K)
        channels, steps = grad.shape[1], geometry[1:]
        share_work(
            lambda part: backward(gradients[part], channels, size, steps, counts, pixels[part]), len(pixels)
        )
    elif in_wide_tiles(size, geometry):
        _, backward = tiled_loops(*geometry.K)
        share_work(lambda part: backward(gradients[part], size[1], counts[0], pixels[part]), len(pixels))
    else:
        planes = lay_out(size, geometry)
        share_work(
            lambda part: average_planes.backward(gradients[part], planes, counts, pixels[part]), len(pixels)
        )
