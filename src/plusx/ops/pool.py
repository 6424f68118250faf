"""Pooling (lesson: 池化公式): a maximum or a mean over windows.

    max:      O[y, x, c] = max_{0 ≤ i,j < K} I[y·s + i, x·s + j, c]
    average:  O[y, x, c] = 1/K² · Σ_i Σ_j I[y·s + i, x·s + j, c]

Both walk over the K·K taps of the window, not over the windows. Tap (i, j) of all windows together is one strided slice
of the picture; the maximum or the sum of these slices is the pooled picture.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from plusx.ops import reference
from plusx.ops.engines import resolve
from plusx.ops.precision import as_given
from plusx.ops.shape import Edges, IntOrPair, Padding, Pair, edges, output_size, pair, span

Geometry = tuple[Pair, Pair, Pair, Pair, Pair]
"""(kernel_size, stride, (top, left) padding, dilation, output size)"""
Index = tuple[Any, ...]


def _axis(length: int, K: int, s: int, start: int, d: int, outputs: int) -> Iterator[tuple[int, slice, slice]]:
    """Yield, for each tap along one axis, the windows in which it is inside the picture and the pixels it reads there."""
    for i in range(K):
        shift = i * d - start
        first = max(0, -(shift // s))
        last = min(outputs, (length - 1 - shift) // s + 1)
        if last > first:
            yield i, slice(first, last), slice(first * s + shift, (last - 1) * s + shift + 1, s)


def _taps(size: Pair, geometry: Geometry) -> Iterator[tuple[int, Index, Index]]:
    """Yield (i·K_w + j, where in the output, where in the input) for each tap (i, j), in row-major order."""
    K, s, start, d, out = geometry
    for i, out_rows, in_rows in _axis(size[0], K[0], s[0], start[0], d[0], out[0]):
        for j, out_columns, in_columns in _axis(size[1], K[1], s[1], start[1], d[1], out[1]):
            yield i * K[1] + j, (..., out_rows, out_columns), (..., in_rows, in_columns)


def _like(x: Tensor, size: Pair, value: float) -> Tensor:
    """Return (N, C, *size) filled with a value, laid out in memory as x is."""
    last = x.stride(1) == 1 and x.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.full((*x.shape[:2], *size), value, dtype=x.dtype, device=x.device).contiguous(memory_format=layout)


class MaxPool(torch.autograd.Function):
    """`y = max over the taps`; the gradient goes to the tap that won, the first one in row-major order if several did.

        ∂L/∂x[q] = Σ ∂L/∂y[p]  over the windows p whose winning tap reads pixel q

    Padding never wins: it is left out. NaN wins over every number, as in torch.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, geometry: Geometry) -> Tensor:
        """Keep the running maximum over the taps and the number of the tap that holds it."""
        size = (x.shape[2], x.shape[3])
        y = _like(x, geometry[-1], -torch.inf)
        winner = torch.zeros_like(y, dtype=torch.int16)
        winner += _first_tap(geometry).to(x.device)
        for tap, there, here in _taps(size, geometry):
            candidate = x[here]
            winner[there].masked_fill_((candidate > y[there]) | (candidate != candidate), tap)
            y[there] = torch.maximum(y[there], candidate)
        ctx.save_for_backward(winner)
        ctx.size, ctx.geometry = size, geometry
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Send each gradient to its winner."""
        (winner,) = ctx.saved_tensors
        return Scatter.apply(grad, winner, ctx.size, ctx.geometry), None


def _first_tap(geometry: Geometry) -> Tensor:
    """Return (H_out, W_out) numbers of the first tap inside the picture; it holds the maximum until another is larger."""
    K, s, start, d, out = geometry
    i, j = (
        (torch.arange(start[a], start[a] - out[a] * s[a], -s[a]).clamp(min=0) + d[a] - 1).div(d[a], rounding_mode="floor")
        for a in (0, 1)
    )
    return (i[:, None] * K[1] + j).to(torch.int16)


class Scatter(torch.autograd.Function):
    """`dx[q] = Σ_p g[p] where the winner of window p reads q`: linear in g, and its own gradient is `Gather`."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, winner: Tensor, size: Pair, geometry: Geometry) -> Tensor:
        """Walk the taps; each adds the gradients it won to the pixels it read."""
        ctx.save_for_backward(winner)
        ctx.size, ctx.geometry = size, geometry
        dx = _like(winner, size, 0).to(grad.dtype)
        for tap, there, here in _taps(size, geometry):
            dx[here] += grad[there].masked_fill(winner[there] != tap, 0)
        return dx

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, None, None, None]:
        """For v of x's shape: ∂/∂g[p] = v at the pixel the winner of window p read."""
        (winner,) = ctx.saved_tensors
        return Gather.apply(v, winner, ctx.size, ctx.geometry), None, None, None


class Gather(torch.autograd.Function):
    """`y[p] = v at the pixel that the winner of window p reads`; its gradient is `Scatter`."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, winner: Tensor, size: Pair, geometry: Geometry) -> Tensor:
        """Walk the taps; each fills the windows it won."""
        ctx.save_for_backward(winner)
        ctx.size, ctx.geometry = size, geometry
        y = _like(winner, geometry[-1], 0).to(v.dtype)
        for tap, there, here in _taps(size, geometry):
            y[there] += v[here].masked_fill(winner[there] != tap, 0)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        """Back to where it came from."""
        (winner,) = ctx.saved_tensors
        return Scatter.apply(grad, winner, ctx.size, ctx.geometry), None, None, None


class SumPool(torch.autograd.Function):
    """`y[p] = Σ over the taps of x[p·s + i]`, linear in x; the gradient of a sum goes to all its terms (`Spread`)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: Pair, geometry: Geometry) -> Tensor:
        """Add the taps."""
        ctx.size, ctx.geometry = size, geometry
        y = _like(x, geometry[-1], 0)
        for _, there, here in _taps(size, geometry):
            y[there] += x[here]
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """`∂L/∂x[q] = Σ_p ∂L/∂y[p]` over the windows p that contain q."""
        return Spread.apply(grad, ctx.size, ctx.geometry), None, None


class Spread(torch.autograd.Function):
    """`dx[q] = Σ_p g[p] over the windows that contain q`; its own gradient is `SumPool`."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, size: Pair, geometry: Geometry) -> Tensor:
        """Walk the taps the other way."""
        ctx.size, ctx.geometry = size, geometry
        dx = _like(grad, size, 0)
        for _, there, here in _taps(size, geometry):
            dx[here] += grad[there]
        return dx

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, None, None]:
        """Back to the sum."""
        return SumPool.apply(v, ctx.size, ctx.geometry), None, None


def _resolve(
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None,
    padding: Padding,
    dilation: IntOrPair,
    ceil_mode: bool,
) -> tuple[Geometry, Edges]:
    if x.dim() != 4:
        raise ValueError(f"x must be (N, C, H, W) or (C, H, W); got {tuple(x.shape)}")
    K, d = pair(kernel_size, "kernel_size"), pair(dilation, "dilation")
    s = K if stride is None else pair(stride, "stride")
    size = (x.shape[2], x.shape[3])
    sides = edges(size, K, s, padding, d)
    for k, step, ends in zip(K, d, sides, strict=True):
        if ends[0] > span(k, step) // 2:
            raise ValueError(f"padding {ends[0]} is more than half of the window, which spans {span(k, step)} pixels")
    out = output_size(size, K, s, padding, d, ceil_mode)
    return (K, s, (sides[0][0], sides[1][0]), d, out), sides


def max_pool2d(
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
    *,
    engine: str | None = None,
) -> Tensor:
    """Return the largest value in each window (lesson: 最大池化).

    Args:
        x: (N, C, H, W), or one picture (C, H, W).
        kernel_size: K, one number or (vertical, horizontal).
        stride: s; K if left out.
        padding: on both sides, at most half of the window, or "valid" or "same"; counts as −∞.
        dilation: the distance between the window's taps.
        ceil_mode: round the output size up, so that no pixel is left out at the end.
        engine: see `plusx.ops.engine`.

    Returns:
        (N, C, H_out, W_out); see `plusx.ops.output_size`.

    Raises:
        ValueError: if an argument is out of range or no window fits.

    >>> lesson = torch.tensor([[1, 4, 2, 8], [3, 9, 5, 7], [2, 6, 4, 1], [5, 3, 7, 2]]).float()
    >>> max_pool2d(lesson[None], 2).tolist()
    [[[9.0, 8.0], [6.0, 7.0]]]
    """
    if x.dim() == 3:
        return max_pool2d(x[None], kernel_size, stride, padding, dilation, ceil_mode, engine=engine)[0]
    geometry, sides = _resolve(x, kernel_size, stride, padding, dilation, ceil_mode)
    K, s, start, d, _ = geometry
    match resolve(engine, "handmade"):
        case "reference":
            return reference.on_tensors(reference.batched_max_pool2d, x, K, s, padding, d, ceil_mode)
        case "handmade":
            return MaxPool.apply(x, geometry)
        case "native":
            (top, bottom), (left, right) = sides
            if start != (bottom, right):
                x, start = F.pad(x, (left, right, top, bottom), value=-torch.inf), (0, 0)
            return F.max_pool2d(x, K, s, start, d, ceil_mode)


def avg_pool2d(
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    engine: str | None = None,
) -> Tensor:
    """Return the mean of each window (lesson: 平均池化).

    Args:
        x: (N, C, H, W), or one picture (C, H, W).
        kernel_size: K, one number or (vertical, horizontal).
        stride: s; K if left out.
        padding: zeros on both sides, at most half of the window, or "valid" or "same".
        ceil_mode: round the output size up, so that no pixel is left out at the end.
        count_include_pad: divide by the padding too, not only by the pixels of the picture.
        engine: see `plusx.ops.engine`.

    Returns:
        (N, C, H_out, W_out); see `plusx.ops.output_size`.

    Raises:
        ValueError: if an argument is out of range or no window fits.

    >>> avg_pool2d(torch.tensor([[[1.0, 2.0], [3.0, 6.0]]]), 2).tolist()
    [[[3.0]]]
    """
    if x.dim() == 3:
        return avg_pool2d(x[None], kernel_size, stride, padding, ceil_mode, count_include_pad, engine=engine)[0]
    geometry, sides = _resolve(x, kernel_size, stride, padding, 1, ceil_mode)
    K, s, start, _, _ = geometry
    size = (x.shape[2], x.shape[3])
    match resolve(engine, "handmade"):
        case "reference":
            return reference.on_tensors(
                reference.batched_avg_pool2d, x, K, s, padding, ceil_mode, count_include_pad
            )
        case "handmade":
            divisor = _divisor(size, geometry, sides, count_include_pad).to(x)
            return SumPool.apply(x, size, geometry) / divisor
        case "native":
            (top, bottom), (left, right) = sides
            if start == (bottom, right):
                return F.avg_pool2d(x, K, s, start, ceil_mode, count_include_pad)
            border = (left, right, top, bottom)
            y = F.avg_pool2d(F.pad(x, border), K, s, 0, ceil_mode)
            if count_include_pad:
                return y
            return y / F.avg_pool2d(F.pad(x.new_ones(1, 1, *size), border), K, s, 0, ceil_mode)


def _divisor(size: Pair, geometry: Geometry, sides: Edges, count_include_pad: bool) -> Tensor:
    """Return (H_out, W_out) numbers of pixels in the windows, padding included or not."""
    K, s, _, _, out = geometry
    counts = []
    for a in (0, 1):
        before, after = sides[a]
        begin = torch.arange(out[a]) * s[a] - before
        end = (begin + K[a]).clamp(max=size[a] + after)
        counts.append(end - begin if count_include_pad else end.clamp(max=size[a]) - begin.clamp(min=0))
    return counts[0][:, None] * counts[1]


def global_avg_pool2d(x: Tensor, *, engine: str | None = None) -> Tensor:
    """Return the mean of each feature map (lesson: 全局池化), (N, C, H, W) → (N, C, 1, 1).

    >>> global_avg_pool2d(torch.arange(4.0).reshape(1, 1, 2, 2)).tolist()
    [[[[1.5]]]]
    """
    return avg_pool2d(x, (x.shape[-2], x.shape[-1]), engine=engine)


def global_max_pool2d(x: Tensor, *, engine: str | None = None) -> Tensor:
    """Return the largest value of each feature map (lesson: 全局池化), (N, C, H, W) → (N, C, 1, 1).

    >>> global_max_pool2d(torch.arange(4.0).reshape(1, 1, 2, 2)).tolist()
    [[[[3.0]]]]
    """
    return max_pool2d(x, (x.shape[-2], x.shape[-1]), engine=engine)
