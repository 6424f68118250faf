"""Pooling (lesson: 池化公式): a maximum or a mean over windows.

    max:      O[y, x, c] = max_{0 ≤ i,j < K} I[y·s + i, x·s + j, c]
    average:  O[y, x, c] = 1/K² · Σ_i Σ_j I[y·s + i, x·s + j, c]

Both walk over the K·K taps of the window, not over the windows. Tap (i, j) of all windows together is one
strided slice of the picture; the maximum or the sum of these slices is the pooled picture.
"""

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from plusx.ops import reference
from plusx.ops.chunks import chunks
from plusx.ops.engines import resolve
from plusx.ops.lesson_layout import each_picture
from plusx.ops.shape import Edges, IntOrPair, Padding, Pair, edges, output_size, pair, span

Index = tuple[Any, ...]


class Geometry(NamedTuple):
    """Which pixels belong to which window; everything is (vertical, horizontal)."""

    K: Pair
    stride: Pair
    start: Pair
    """How far before the picture the first window begins: the padding at the top and left."""
    dilation: Pair
    out: Pair


def _axis(
    length: int, K: int, s: int, start: int, d: int, outputs: int
) -> Iterator[tuple[int, slice, slice]]:
    """Yield each tap of one axis, the windows where it is inside the picture and the pixels it reads."""
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


def _layout(x: Tensor) -> torch.memory_format:
    last = x.is_contiguous(memory_format=torch.channels_last) and x.stride(1) == 1
    return torch.channels_last if last else torch.contiguous_format


def _empty(like: Tensor, size: Pair, dtype: torch.dtype, layout: torch.memory_format) -> Tensor:
    return torch.empty(*like.shape[:2], *size, dtype=dtype, device=like.device, memory_format=layout)


class MaxPool(torch.autograd.Function):
    """`y = max over the taps`; the gradient goes to the tap that won, the first in row-major order.

        ∂L/∂x[q] = Σ ∂L/∂y[p]  over the windows p whose winning tap reads pixel q

    Padding never wins: it is left out. NaN wins over every number, as in torch.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, geometry: Geometry) -> Tensor:
        """Keep the running maximum over the taps and, if there will be a backward, the tap that holds it."""
        size = (x.shape[2], x.shape[3])
        y = _empty(x, geometry.out, x.dtype, _layout(x))
        winner = _empty(x, geometry.out, torch.uint8 if prod(geometry.K) <= 256 else torch.int32, _layout(x))
        first = _first_tap(geometry).to(winner)
        for chunk in chunks(x):
            best, won = y[chunk].fill_(-torch.inf), winner[chunk]
            if ctx.needs_input_grad[0]:
                won.copy_(first)
            for tap, there, here in _taps(size, geometry):
                candidate = x[chunk][here]
                if ctx.needs_input_grad[0]:
                    won[there].masked_fill_((candidate > best[there]) | (candidate != candidate), tap)
                best[there].clamp_(min=candidate)
        ctx.save_for_backward(winner)
        ctx.size, ctx.geometry = size, geometry
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Send each gradient to its winner."""
        (winner,) = ctx.saved_tensors
        return Scatter.apply(grad, winner, ctx.size, ctx.geometry), None


def _first_tap(geometry: Geometry) -> Tensor:
    """Return (H_out, W_out): the first tap inside the picture, which wins until another one is larger."""
    K, s, start, d, out = geometry
    rows, columns = (
        torch.tensor([max(0, -((p * s[axis] - start[axis]) // d[axis])) for p in range(out[axis])])
        for axis in (0, 1)
    )
    return rows[:, None] * K[1] + columns


class Scatter(torch.autograd.Function):
    """`dx[q] = Σ_p g[p]` over the windows p whose winner reads q; linear in g, with the gradient `Gather`."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, winner: Tensor, size: Pair, geometry: Geometry) -> Tensor:
        """Walk over the taps; each adds the gradients of the windows it won to the pixels it read."""
        ctx.save_for_backward(winner)
        ctx.size, ctx.geometry = size, geometry
        dx = _empty(grad, size, grad.dtype, _layout(winner))
        for chunk in chunks(dx):
            part, g, won = dx[chunk].zero_(), grad[chunk], winner[chunk]
            for tap, there, here in _taps(size, geometry):
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
        y = _empty(v, geometry.out, v.dtype, _layout(winner)).zero_()
        for tap, there, here in _taps(size, geometry):
            y[there] += torch.where(winner[there] == tap, v[here], 0)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        """Back to where it came from."""
        (winner,) = ctx.saved_tensors
        return Scatter.apply(grad, winner, ctx.size, ctx.geometry), None, None, None


class AveragePool(torch.autograd.Function):
    """`y[p] = Σ over the taps of x[p·s + i] / n[p]`; each term receives its share of the gradient (`Spread`).

    ∂L/∂x[q] = Σ ∂L/∂y[p] / n[p]  over the windows p that contain pixel q
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, n: Tensor, size: Pair, geometry: Geometry) -> Tensor:
        """Add the taps, in float32 at least, and divide."""
        ctx.save_for_backward(n)
        ctx.size, ctx.geometry = size, geometry
        ctx.layout = _layout(x)
        y = _empty(x, geometry.out, x.dtype, ctx.layout)
        for chunk in chunks(x):
            total = torch.zeros_like(y[chunk], dtype=n.dtype)
            for _, there, here in _taps(size, geometry):
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
        dx = _empty(grad, size, grad.dtype, layout)
        for chunk in chunks(dx):
            total, share = torch.zeros_like(dx[chunk], dtype=n.dtype), grad[chunk] / n
            for _, there, here in _taps(size, geometry):
                total[here] += share[there]
            dx[chunk] = total
        return dx

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, None, None, None, None]:
        """Back to the mean."""
        (n,) = ctx.saved_tensors
        return AveragePool.apply(v, n, ctx.size, ctx.geometry), None, None, None, None


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
        return (grad / (ctx.shape[2] * ctx.shape[3])).expand(ctx.shape)


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
            raise ValueError(
                f"padding {ends[0]} is more than half of the window, which spans {span(k, step)} pixels"
            )
    out = output_size(size, K, s, padding, d, ceil_mode)
    return Geometry(K, s, (sides[0][0], sides[1][0]), d, out), sides


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
    K, s, start, d, out = geometry
    match resolve(engine, "handmade"):
        case "reference":
            return each_picture(
                lambda picture: reference.max_pool2d(picture, K, s, padding, d, ceil_mode), x, x.shape[1], out
            )
        case "handmade":
            return MaxPool.apply(x, geometry)  # type: ignore[no-any-return]
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
        return avg_pool2d(x[None], kernel_size, stride, padding, ceil_mode, count_include_pad, engine=engine)[
            0
        ]
    geometry, sides = _resolve(x, kernel_size, stride, padding, 1, ceil_mode)
    K, s, start, _, out = geometry
    size = (x.shape[2], x.shape[3])
    match resolve(engine, "handmade"):
        case "reference":
            return each_picture(
                lambda picture: reference.avg_pool2d(picture, K, s, padding, ceil_mode, count_include_pad),
                x,
                x.shape[1],
                out,
            )
        case "handmade":
            n = _counts(size, geometry, sides, count_include_pad)
            n = n.to(x.device, torch.promote_types(x.dtype, torch.float32))
            return AveragePool.apply(x, n, size, geometry)  # type: ignore[no-any-return]
        case "native":
            (top, bottom), (left, right) = sides
            if start == (bottom, right):
                return F.avg_pool2d(x, K, s, start, ceil_mode, count_include_pad)
            border = (left, right, top, bottom)
            y = F.avg_pool2d(F.pad(x, border), K, s, 0, ceil_mode)
            if count_include_pad:
                return y
            return y / F.avg_pool2d(F.pad(x.new_ones(1, 1, *size), border), K, s, 0, ceil_mode)


def _counts(size: Pair, geometry: Geometry, sides: Edges, count_include_pad: bool) -> Tensor:
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
    _check_map(x)
    match resolve(engine, "handmade"):
        case "handmade":
            return GlobalAveragePool.apply(x)  # type: ignore[no-any-return]
        case other:
            return avg_pool2d(x, (x.shape[2], x.shape[3]), engine=other)


def global_max_pool2d(x: Tensor, *, engine: str | None = None) -> Tensor:
    """Return the largest value of each feature map (lesson: 全局池化), (N, C, H, W) → (N, C, 1, 1).

    >>> global_max_pool2d(torch.arange(4.0).reshape(1, 1, 2, 2)).tolist()
    [[[[3.0]]]]
    """
    _check_map(x)
    match resolve(engine, "handmade"):
        case "handmade":
            return GlobalMaxPool.apply(x)  # type: ignore[no-any-return]
        case other:
            return max_pool2d(x, (x.shape[2], x.shape[3]), engine=other)


def _check_map(x: Tensor) -> None:
    if x.dim() != 4 or 0 in x.shape[2:]:
        raise ValueError(f"x must be (N, C, H, W) with at least one pixel; got {tuple(x.shape)}")
