"""The windows of a pooling, and the walk over their taps.

The walk goes over the K·K taps of the window, not over the windows. Tap (i, j) of all windows together is one
strided slice of the picture; the maximum or the sum of these slices is the pooled picture.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plusx.ops.shape import Edges, IntOrPair, Padding, Pair, edges, output_size, pair, span

Index = tuple[Any, ...]


class PoolGeometry(NamedTuple):
    """Which pixels belong to which window; everything is (vertical, horizontal)."""

    K: Pair
    stride: Pair
    start: Pair
    """How far before the picture the first window begins: the padding at the top and left."""
    dilation: Pair
    out: Pair


def along_axis(
    length: int, K: int, s: int, start: int, d: int, outputs: int
) -> Iterator[tuple[int, slice, slice]]:
    """Yield each tap of one axis, the windows where it is inside the picture and the pixels it reads."""
    for i in range(K):
        shift = i * d - start
        first = max(0, -(shift // s))
        last = min(outputs, (length - 1 - shift) // s + 1)
        if last > first:
            yield i, slice(first, last), slice(first * s + shift, (last - 1) * s + shift + 1, s)


def taps(size: Pair, geometry: PoolGeometry) -> Iterator[tuple[int, Index, Index]]:
    """Yield (i·K_w + j, where in the output, where in the input) for each tap (i, j), in row-major order."""
    K, s, start, d, out = geometry
    for i, out_rows, in_rows in along_axis(size[0], K[0], s[0], start[0], d[0], out[0]):
        for j, out_columns, in_columns in along_axis(size[1], K[1], s[1], start[1], d[1], out[1]):
            yield i * K[1] + j, (..., out_rows, out_columns), (..., in_rows, in_columns)


def empty(like: Tensor, size: Pair, dtype: torch.dtype, layout: torch.memory_format) -> Tensor:
    """Return room for (N, C, *size) values."""
    return torch.empty(*like.shape[:2], *size, dtype=dtype, device=like.device, memory_format=layout)


def lowest(dtype: torch.dtype) -> float:
    """Return what no number of this dtype is below: padding that never wins.

    >>> lowest(torch.float32), lowest(torch.uint8)
    (-inf, 0)
    """
    return -torch.inf if dtype.is_floating_point else torch.iinfo(dtype).min


def resolve_windows(
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None,
    padding: Padding,
    dilation: IntOrPair,
    ceil_mode: bool,
) -> tuple[PoolGeometry, Edges]:
    """Check the arguments of a pooling; return its windows and the rows and columns of padding.

    Raises:
        ValueError: if an argument is out of range or no window fits.
    """
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
    return PoolGeometry(K, s, (sides[0][0], sides[1][0]), d, out), sides


def first_tap(geometry: PoolGeometry) -> Tensor:
    """Return (H_out, W_out): the first tap that is not before the picture; it wins until another is larger.

    With a dilation larger than the picture it may lie behind it, and the window has no pixel at all.
    """
    K, s, start, d, out = geometry
    first = [[max(0, -((p * s[a] - start[a]) // d[a])) for p in range(out[a])] for a in (0, 1)]
    rows, columns = (torch.tensor(taps, device="cpu") for taps in first)
    return rows[:, None] * K[1] + columns


def count_pixels(size: Pair, geometry: PoolGeometry, sides: Edges, count_include_pad: bool) -> Tensor:
    """Return (H_out, W_out) numbers of pixels in the windows, padding included or not."""
    K, s, _, _, out = geometry
    counts = []
    for a in (0, 1):
        before, after = sides[a]
        begin = torch.arange(out[a], device="cpu") * s[a] - before
        end = (begin + K[a]).clamp(max=size[a] + after)
        counts.append(end - begin if count_include_pad else end.clamp(max=size[a]) - begin.clamp(min=0))
    return counts[0][:, None] * counts[1]
