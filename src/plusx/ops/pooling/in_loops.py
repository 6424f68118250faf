"""Pooling on the processor: the compiled loops, shared among its cores."""

import functools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plusx.ops import loops
from plusx.ops.loops import layout_of
from plusx.ops.parts import Known, known, parts
from plusx.ops.pooling import average_loops, average_planes, maximum_loops, maximum_planes
from plusx.ops.pooling.planes import WIDE_ROW, WIDE_ROW_ON_AVX2, in_wide_tiles, lay_out
from plusx.ops.pooling.windows import PoolGeometry, first_tap


def max_forward(x: Tensor, geometry: PoolGeometry, y: Tensor, winner: Tensor) -> None:
    """Fill y and winner (N, C, H_out, W_out), laid out as x."""
    size, layout, K = (x.shape[2], x.shape[3]), layout_of(x), _known(geometry)
    pictures, best, won = (loops.as_pictures(t, layout) for t in (x, y, winner))
    count = parts(pictures)
    if layout == torch.channels_last:
        maximum_loops.forward(count, pictures, x.shape[1], size, geometry[1:], K, best, won)
    elif in_wide_tiles(size, geometry, _least_row(pictures)):
        maximum_planes.forward_tiled(count, pictures, size[1], K, best, won)
    else:
        first_taps, lowest = _first_taps(geometry, won.dtype.type), loops.widened(x, -torch.inf)
        maximum_planes.forward(count, pictures, lay_out(size, geometry), first_taps, lowest, best, won)


def _least_row(pictures: NDArray[Any]) -> int:
    """From how many windows in a row the tiled loop is faster, as it was measured on two EPYCs.

    With AVX512, and for bfloat16, the compiler makes vectors of short rows too.
    """
    on_avx2 = pictures.dtype != np.uint16 and torch.backends.cpu.get_cpu_capability() == "AVX2"
    return WIDE_ROW_ON_AVX2 if on_avx2 else WIDE_ROW


@functools.lru_cache(maxsize=16)  # as many numbers as the output has, each
def _first_taps(
    geometry: PoolGeometry, taps: type[np.unsignedinteger[Any]]
) -> NDArray[np.unsignedinteger[Any]]:
    return first_tap(geometry).flatten().numpy().astype(taps)


def _known(geometry: PoolGeometry) -> tuple[Known, Known]:
    return known(geometry.K[0]), known(geometry.K[1])


def max_backward(grad: Tensor, winner: Tensor, geometry: PoolGeometry, dx: Tensor) -> None:
    """Fill dx (N, C, H, W); `winner` (N, C, H_out, W_out) is laid out as dx."""
    size, layout, K = (dx.shape[2], dx.shape[3]), layout_of(dx), _known(geometry)
    gradients, won, pixels = (loops.as_pictures(t, layout) for t in (grad, winner, dx))
    count = parts(pixels)
    if layout == torch.channels_last:
        maximum_loops.backward(count, gradients, grad.shape[1], size, geometry[1:], K, won, pixels)
    elif in_wide_tiles(size, geometry):
        maximum_planes.backward_tiled(count, gradients, size[1], K, won, pixels)
    else:
        maximum_planes.backward(count, gradients, size[1], geometry[1:], K, won, pixels)


def average_forward(x: Tensor, n: Tensor, geometry: PoolGeometry, y: Tensor) -> None:
    """Fill y (N, C, H_out, W_out), laid out as x; `n` (H_out, W_out) says by how much each sum is divided."""
    size, layout, K = (x.shape[2], x.shape[3]), layout_of(x), _known(geometry)
    pictures, means, counts = loops.as_pictures(x, layout), loops.as_pictures(y, layout), n.flatten().numpy()
    count = parts(pictures)
    if layout == torch.channels_last:
        average_loops.forward(count, pictures, x.shape[1], size, geometry[1:], K, counts, means)
    elif in_wide_tiles(size, geometry):
        average_planes.forward_tiled(count, pictures, size[1], K, counts[0], means)
    else:
        average_planes.forward(count, pictures, lay_out(size, geometry), counts, means)


def average_backward(grad: Tensor, n: Tensor, geometry: PoolGeometry, dx: Tensor) -> None:
    """Fill dx (N, C, H, W)."""
    size, layout, K = (dx.shape[2], dx.shape[3]), layout_of(dx), _known(geometry)
    gradients, pixels = loops.as_pictures(grad, layout), loops.as_pictures(dx, layout)
    count, counts = parts(pixels), n.flatten().numpy()
    if layout == torch.channels_last:
        average_loops.backward(count, gradients, grad.shape[1], size, geometry[1:], K, counts, pixels)
    elif in_wide_tiles(size, geometry):
        average_planes.backward_tiled(count, gradients, size[1], K, counts[0], pixels)
    else:
        average_planes.backward(count, gradients, lay_out(size, geometry), counts, pixels)
