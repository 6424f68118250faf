"""Pooling on the processor: the compiled loops, shared among its cores."""

import functools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plusx.ops import average_planes, loops
from plusx.ops.average_loops import average_loops
from plusx.ops.average_planes import tiled_loops
from plusx.ops.cores import share
from plusx.ops.maximum_loops import max_loops
from plusx.ops.maximum_planes import plane_loops
from plusx.ops.planes import in_wide_tiles, lay_out
from plusx.ops.windows import Geometry, first_tap, layout_of


def max_forward(x: Tensor, geometry: Geometry, y: Tensor, winner: Tensor) -> None:
    """Fill y and winner (N, C, H_out, W_out), laid out as x."""
    size, layout = (x.shape[2], x.shape[3]), layout_of(x)
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


def max_backward(grad: Tensor, winner: Tensor, geometry: Geometry, dx: Tensor) -> None:
    """Fill dx (N, C, H, W); `winner` (N, C, H_out, W_out) is laid out as dx."""
    size, layout = (dx.shape[2], dx.shape[3]), layout_of(dx)
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


def average_forward(x: Tensor, n: Tensor, geometry: Geometry, y: Tensor) -> None:
    """Fill y (N, C, H_out, W_out), laid out as x; `n` (H_out, W_out) says by how much each sum is divided."""
    size, layout, counts = (x.shape[2], x.shape[3]), layout_of(x), n.flatten().numpy()
    pictures, means = loops.as_pictures(x, layout), loops.as_pictures(y, layout)
    if layout == torch.channels_last:
        forward, _ = average_loops(*geometry.K)
        channels, steps = x.shape[1], geometry[1:]
        share(lambda part: forward(pictures[part], channels, size, steps, counts, means[part]), len(pictures))
    elif in_wide_tiles(size, geometry):
        forward, _ = tiled_loops(*geometry.K)
        share(lambda part: forward(pictures[part], size[1], counts[0], means[part]), len(pictures))
    else:
        planes = lay_out(size, geometry)
        share(lambda part: average_planes.forward(pictures[part], planes, counts, means[part]), len(pictures))


def average_backward(grad: Tensor, n: Tensor, geometry: Geometry, dx: Tensor) -> None:
    """Fill dx (N, C, H, W)."""
    size, layout, counts = (dx.shape[2], dx.shape[3]), layout_of(dx), n.flatten().numpy()
    gradients, pixels = loops.as_pictures(grad, layout), loops.as_pictures(dx, layout)
    if layout == torch.channels_last:
        _, backward = average_loops(*geometry.K)
        channels, steps = grad.shape[1], geometry[1:]
        share(
            lambda part: backward(gradients[part], channels, size, steps, counts, pixels[part]), len(pixels)
        )
    elif in_wide_tiles(size, geometry):
        _, backward = tiled_loops(*geometry.K)
        share(lambda part: backward(gradients[part], size[1], counts[0], pixels[part]), len(pixels))
    else:
        planes = lay_out(size, geometry)
        share(
            lambda part: average_planes.backward(gradients[part], planes, counts, pixels[part]), len(pixels)
        )
