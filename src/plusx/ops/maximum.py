"""The largest value in each window and the way back of its gradient (lesson: 最大池化).

O[y, x, c] = max_{0 ≤ i,j < K} I[y·s + i, x·s + j, c]
"""

import functools
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plusx.ops import loops
from plusx.ops.chunks import chunks
from plusx.ops.cores import share
from plusx.ops.maximum_loops import max_loops
from plusx.ops.maximum_planes import plane_loops
from plusx.ops.planes import in_wide_tiles, lay_out
from plusx.ops.shape import Pair
from plusx.ops.windows import Geometry, empty, first_tap, layout_of, taps


class MaxPool(torch.autograd.Function):
    """`y = max over the taps`; the gradient goes to the tap that won, the first in row-major order.

        ∂L/∂x[q] = Σ ∂L/∂y[p]  over the windows p whose winning tap reads pixel q

    Padding never wins: it is left out. NaN wins over every number, as in torch.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, geometry: Geometry) -> Tensor:
        """Keep the running maximum over the taps and, if there will be a backward, the tap that holds it."""
        size = (x.shape[2], x.shape[3])
        y = empty(x, geometry.out, x.dtype, layout_of(x))
        winner = empty(x, geometry.out, torch.uint8 if prod(geometry.K) < 256 else torch.int32, layout_of(x))
        ctx.size, ctx.geometry = size, geometry
        if loops.serve(x):
            _forward_in_loops(x, geometry, y, winner)
            ctx.save_for_backward(winner)
            return y
        for chunk in chunks(x):
            best, won = y[chunk].fill_(-torch.inf), winner[chunk]
            if ctx.needs_input_grad[0]:
                won.copy_(first_tap(geometry))
            for tap, there, here in taps(size, geometry):
                candidate = x[chunk][here]
                if ctx.needs_input_grad[0]:
                    won[there].masked_fill_((candidate > best[there]) | (candidate != candidate), tap)
                best[there].clamp_(min=candidate)
        ctx.save_for_backward(winner)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Send each gradient to its winner."""
        (winner,) = ctx.saved_tensors
        return Scatter.apply(grad, winner, ctx.size, ctx.geometry), None


class Scatter(torch.autograd.Function):
    """`dx[q] = Σ_p g[p]` over the windows p whose winner reads q; linear in g, with the gradient `Gather`."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, winner: Tensor, size: Pair, geometry: Geometry) -> Tensor:
        """Walk over the taps; each adds the gradients of the windows it won to the pixels it read."""
        ctx.save_for_backward(winner)
        ctx.size, ctx.geometry = size, geometry
        dx = empty(grad, size, grad.dtype, layout_of(winner))
        if loops.serve(grad):
            _scatter_in_loops(grad, winner, geometry, dx)
            return dx
        for chunk in chunks(dx):
            part, g, won = dx[chunk].zero_(), grad[chunk], winner[chunk]
            for tap, there, here in taps(size, geometry):
                part[here] += torch.where(won[there] == tap, g[there], 0)
        return dx

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, None, None, None]:
        """For v of x's shape: ∂/∂g[p] = v at the pixel that the winner of window p reads."""
        (winner,) = ctx.saved_tensors
        return Gather.apply(v, winner, ctx.size, ctx.geometry), None, None, None


class Gather(torch.autograd.Function):
    """`y[p] = v at the pixel that the winner of window p reads`; its gradient is `Scatter`."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, winner: Tensor, size: Pair, geometry: Geometry) -> Tensor:
        """Walk over the taps; each fills the windows it won."""
        ctx.save_for_backward(winner)
        ctx.size, ctx.geometry = size, geometry
        y = empty(v, geometry.out, v.dtype, layout_of(winner)).zero_()
        for tap, there, here in taps(size, geometry):
            y[there] += torch.where(winner[there] == tap, v[here], 0)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        """Back to where it came from."""
        (winner,) = ctx.saved_tensors
        return Scatter.apply(grad, winner, ctx.size, ctx.geometry), None, None, None


def _forward_in_loops(x: Tensor, geometry: Geometry, y: Tensor, winner: Tensor) -> None:
    size, layout = (x.shape[2], x.shape[3]), layout_of(winner)
    pictures, best, won = (loops.as_pictures(t, layout) for t in (x, y, winner))
    lowest = loops.widened(x, -torch.inf)
    first_taps = _first_taps(geometry, won.dtype.type)
    if layout == torch.channels_last:
        forward, _ = max_loops(*geometry.K, won.dtype.type)
        share(
            lambda part: forward(
                pictures[part], x.shape[1], size, geometry[1:], first_taps, lowest, best[part], won[part]
            ),
            len(pictures),
        )
        return
    forward, _, forward_tiled, _ = plane_loops(*geometry.K, won.dtype.type)
    if in_wide_tiles(size, geometry):
        share(lambda part: forward_tiled(pictures[part], size[1], best[part], won[part]), len(pictures))
        return
    planes = lay_out(size, geometry)
    share(
        lambda part: forward(pictures[part], planes, first_taps, lowest, best[part], won[part]), len(pictures)
    )


@functools.lru_cache(maxsize=256)
def _first_taps(geometry: Geometry, taps: type[np.unsignedinteger[Any]]) -> NDArray[np.unsignedinteger[Any]]:
    return first_tap(geometry).flatten().numpy().astype(taps)


def _scatter_in_loops(grad: Tensor, winner: Tensor, geometry: Geometry, dx: Tensor) -> None:
    size, layout = (dx.shape[2], dx.shape[3]), layout_of(winner)
    gradients, won, pixels = (loops.as_pictures(t, layout) for t in (grad, winner, dx))
    if layout == torch.channels_last:
        _, backward = max_loops(*geometry.K, won.dtype.type)
        channels, steps = grad.shape[1], geometry[1:]
        share(
            lambda part: backward(gradients[part], channels, size, steps, won[part], pixels[part]),
            len(pixels),
        )
        return
    _, backward, _, backward_tiled = plane_loops(*geometry.K, won.dtype.type)
    if in_wide_tiles(size, geometry):
        share(lambda part: backward_tiled(gradients[part], size[1], won[part], pixels[part]), len(pixels))
        return
    share(lambda part: backward(gradients[part], size[1], geometry[1:], won[part], pixels[part]), len(pixels))
