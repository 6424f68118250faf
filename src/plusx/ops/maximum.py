"""The largest value in each window and the way back of its gradient (lesson: 最大池化).

O[y, x, c] = max_{0 ≤ i,j < K} I[y·s + i, x·s + j, c]
"""

from math import prod
from typing import Any

import torch
from torch import Tensor

from plusx.ops import loops
from plusx.ops.chunks import chunks
from plusx.ops.cores import share
from plusx.ops.maximum_loops import max_loops
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
        winner = empty(x, geometry.out, torch.uint8 if prod(geometry.K) <= 256 else torch.int32, layout_of(x))
        first = first_tap(geometry).to(winner)
        ctx.size, ctx.geometry = size, geometry
        if loops.serve(x):
            _forward_in_loops(x, geometry, first, y, winner)
            ctx.save_for_backward(winner)
            return y
        for chunk in chunks(x):
            best, won = y[chunk].fill_(-torch.inf), winner[chunk]
            if ctx.needs_input_grad[0]:
                won.copy_(first)
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


def _forward_in_loops(x: Tensor, geometry: Geometry, first: Tensor, y: Tensor, winner: Tensor) -> None:
    K, *rest = geometry
    size, steps = (x.shape[2], x.shape[3]), tuple(rest)
    pictures, best, won = (loops.as_pictures(t, layout_of(winner)) for t in (x, y, winner))
    first_taps = first.numpy()
    lowest = loops.as_array(x.new_full((), -torch.inf))[()]
    forward, _, plane_forward, _ = max_loops(*K, won.dtype.type)

    def work(part: slice) -> None:
        if layout_of(winner) == torch.channels_last:
            forward(pictures[part], x.shape[1], size, steps, first_taps, lowest, best[part], won[part])
        else:
            plane_forward(pictures[part], size, steps, first_taps, lowest, best[part], won[part])

    share(work, len(pictures))


def _scatter_in_loops(grad: Tensor, winner: Tensor, geometry: Geometry, dx: Tensor) -> None:
    K, *rest = geometry
    size, steps = (dx.shape[2], dx.shape[3]), tuple(rest)
    gradients, won, pixels = (loops.as_pictures(t, layout_of(winner)) for t in (grad, winner, dx))
    _, backward, _, plane_backward = max_loops(*K, won.dtype.type)

    def work(part: slice) -> None:
        if layout_of(winner) == torch.channels_last:
            backward(gradients[part], grad.shape[1], size, steps, won[part], pixels[part])
        else:
            plane_backward(gradients[part], size, steps, won[part], pixels[part])

    share(work, len(pixels))


class GlobalMaxPool(torch.autograd.Function):
    """`y = max over all pixels of a feature map`; the gradient goes to the first pixel that holds it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Look each map's winner up."""
        flat = x.flatten(2)
        winner = flat.argmax(2, keepdim=True)
        ctx.save_for_backward(winner)
        ctx.shape = x.shape
        return flat.gather(2, winner)[..., None]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Put the gradient where the winner was, zeros elsewhere."""
        (winner,) = ctx.saved_tensors
        zeros = grad.new_zeros(*ctx.shape[:2], ctx.shape[2] * ctx.shape[3])
        return zeros.scatter(2, winner, grad[..., 0]).view(ctx.shape)
