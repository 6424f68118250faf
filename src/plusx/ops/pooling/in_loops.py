"""Pooling on the processor: the compiled loops, shared among its cores."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plusx.ops import loops
from plusx.ops.lanes import EIGHT_LANES, SIXTEEN_LANES
from plusx.ops.loops import layout_of
from plusx.ops.parts import Known, known, parts
from plusx.ops.pooling import average_loops, average_planes, maximum_loops, maximum_planes
from plusx.ops.pooling.reach import taps_inside, windows_over
from plusx.ops.pooling.windows import PoolGeometry
from plusx.ops.shape import Pair

WIDE_ROW, WIDE_ROW_ON_AVX2 = 8, 24
"""Windows in a row from which those that tile a plane are better read from where they are."""


def suits(x: Tensor) -> bool:
    """Whether there are loops for these pictures.

    >>> suits(torch.zeros(1, 3, 4, 4)), suits(torch.zeros(1, 3, 4, 4).to(memory_format=torch.channels_last))
    (True, False)
    """
    # By its stride, since torch.func's transforms can't say how a tensor lies.
    return loops.suits(x) and (x.shape[1] >= len(EIGHT_LANES) or x.stride(1) != 1)


def max_forward(x: Tensor, geometry: PoolGeometry, y: Tensor, winner: Tensor) -> None:
    """Fill y and winner (N, C, H_out, W_out), laid out as x."""
    size, layout, K = (x.shape[2], x.shape[3]), layout_of(x), _known(geometry)
    pictures, best, won = (loops.as_pictures(t, layout) for t in (x, y, winner))
    count = parts(pictures)
    if layout == torch.channels_last:
        inside, C = taps_inside(size, geometry), x.shape[1]
        maximum_loops.forward(count, pictures, C, _lanes(C), size[1], geometry[1:], K, inside, best, won)
    elif _in_wide_tiles(size, geometry, _least_row(pictures)):
        maximum_planes.forward_tiled(count, pictures, size[1], K, best, won)
    else:
        inside, lowest = taps_inside(size, geometry), loops.widened(x, -torch.inf)
        maximum_planes.forward(count, pictures, size, geometry[1:], K, inside, lowest, best, won)


def _in_wide_tiles(size: Pair, geometry: PoolGeometry, least: int = WIDE_ROW) -> bool:
    """Return whether windows cover the plane side by side, each pixel in one, `least` or more in a row."""
    K, s, start, d, out = geometry
    covers = all(windows * k == length for windows, k, length in zip(out, K, size, strict=True))
    return covers and s == K and start == (0, 0) and d == (1, 1) and out[1] >= least


def _least_row(pictures: NDArray[Any]) -> int:
    """From how many windows in a row the tiled loop is faster, as it was measured on two EPYCs.

    With AVX512, and for bfloat16, the compiler makes vectors of short rows too.
    """
    on_avx2 = pictures.dtype != np.uint16 and torch.backends.cpu.get_cpu_capability() == "AVX2"
    return WIDE_ROW_ON_AVX2 if on_avx2 else WIDE_ROW


def _lanes(C: int) -> Known:
    """How many channels side by side are computed at a time; for some processors sixteen are two vectors."""
    return SIXTEEN_LANES if len(SIXTEEN_LANES) <= C else EIGHT_LANES


def _known(geometry: PoolGeometry) -> tuple[Known, Known]:
    return known(geometry.K[0]), known(geometry.K[1])


def max_backward(grad: Tensor, winner: Tensor, geometry: PoolGeometry, dx: Tensor) -> None:
    """Fill dx (N, C, H, W); `winner` (N, C, H_out, W_out) is laid out as dx."""
    size, layout, K = (dx.shape[2], dx.shape[3]), layout_of(dx), _known(geometry)
    gradients, won, pixels = (loops.as_pictures(t, layout) for t in (grad, winner, dx))
    count = parts(pixels)
    if layout == torch.channels_last:
        windows, C = windows_over(size, geometry), grad.shape[1]
        maximum_loops.backward(count, gradients, C, size, grad.shape[3], K, windows, won, pixels)
    elif _in_wide_tiles(size, geometry):
        maximum_planes.backward_tiled(count, gradients, size[1], K, won, pixels)
    else:
        maximum_planes.backward(count, gradients, size[1], geometry[1:], K, won, pixels)


def average_forward(x: Tensor, n: Tensor, geometry: PoolGeometry, y: Tensor) -> None:
    """Fill y (N, C, H_out, W_out), laid out as x; `n` (H_out, W_out) says by how much each sum is divided."""
    size, layout, K = (x.shape[2], x.shape[3]), layout_of(x), _known(geometry)
    pictures, means, counts = loops.as_pictures(x, layout), loops.as_pictures(y, layout), n.flatten().numpy()
    count = parts(pictures)
    if layout == torch.channels_last:
        inside, C = taps_inside(size, geometry), x.shape[1]
        average_loops.forward(count, pictures, C, _lanes(C), size[1], geometry[1:], K, inside, counts, means)
    elif _in_wide_tiles(size, geometry):
        average_planes.forward_tiled(count, pictures, size[1], K, counts[0], means)
    else:
        inside = taps_inside(size, geometry)
        average_planes.forward(count, pictures, size, geometry[1:], K, inside, counts, means)


def average_backward(grad: Tensor, n: Tensor, geometry: PoolGeometry, dx: Tensor) -> None:
    """Fill dx (N, C, H, W)."""
    size, layout, K = (dx.shape[2], dx.shape[3]), layout_of(dx), _known(geometry)
    gradients, pixels = loops.as_pictures(grad, layout), loops.as_pictures(dx, layout)
    count, counts = parts(pixels), n.flatten().numpy()
    if layout == torch.channels_last:
        windows, C = windows_over(size, geometry), grad.shape[1]
        average_loops.backward(count, gradients, C, size, grad.shape[3], K, windows, counts, pixels)
    elif _in_wide_tiles(size, geometry):
        average_planes.backward_tiled(count, gradients, size[1], K, counts[0], pixels)
    else:
        inside = taps_inside(size, geometry)
        average_planes.backward(count, gradients, size, geometry[1:], K, inside, counts, pixels)
