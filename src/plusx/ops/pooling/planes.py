"""Contiguous planes taken apart for their windows, so that windows side by side read numbers side by side.

With stride s, tap i of window p reads pixel p·s + i·d − start. Collect the pixels of each remainder modulo s
in a map of their own, a phase: then the tap reads one phase, i·d mod s, at place p + ⌊i·d / s⌋.

    stride 2       pixels   0 1 2 3 4 5 6 7       tap 0 of all windows   0 2 4    phase 0 from its place 0
    windows of 3   phase 0  0 2 4 6               tap 1                  1 3 5    phase 1 from its place 0
                   phase 1  1 3 5 7               tap 2                  2 4 6    phase 0 from its place 1

The same holds for rows. With the rows of a phase one after another, and those of several planes too, a tap is
a single shift, and one long loop without a question in it visits all windows, many at a time.
"""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plusx.ops.bfloat16 import wide
from plusx.ops.compiling import compiled
from plusx.ops.pooling.windows import PoolGeometry
from plusx.ops.shape import Pair

ROOM = 4096
"""Numbers in the phases of the planes taken at a time: 16 KiB, which stay in the nearest cache."""

WIDE_ROW, WIDE_ROW_ON_AVX2 = 8, 24
"""Windows in a row from which those that tile a plane are better read from where they are."""


def in_wide_tiles(size: Pair, geometry: PoolGeometry, least: int = WIDE_ROW) -> bool:
    """Return whether windows cover the plane side by side, each pixel in one, `least` or more in a row."""
    K, s, start, d, out = geometry
    covers = all(windows * k == length for windows, k, length in zip(out, K, size, strict=True))
    return covers and s == K and start == (0, 0) and d == (1, 1) and out[1] >= least


class Planes(NamedTuple):
    """How planes lie in a field: phase by phase, in each the planes, in each plane its rows."""

    pixels: NDArray[np.int32]
    """(H·W,): where the field has each pixel of the first plane; those that no window reads go to its end."""
    windows: NDArray[np.int32]
    """(H_out·W_out,): where each window of the first plane begins in its first phase."""
    shifts: NDArray[np.int64]
    """(K_h·K_w,): how much further each tap reads."""
    step: int
    """From one plane to the next."""
    together: int
    """Planes taken at a time."""
    room: int
    """Numbers in the field."""


@functools.lru_cache(maxsize=16)  # as many numbers as the picture has pixels, each
def lay_out(size: Pair, geometry: PoolGeometry) -> Planes:
    """Return where everything lies.

    >>> planes = lay_out((1, 8), PoolGeometry((1, 3), (1, 2), (0, 0), (1, 1), (1, 3)))
    >>> (planes.pixels % planes.room)[:6] // (planes.step * planes.together)  # the phases
    array([0, 1, 0, 1, 0, 1], dtype=int32)
    >>> planes.shifts // (planes.step * planes.together), planes.shifts % planes.step
    (array([0, 1, 0]), array([0, 0, 1]))
    """
    K, s, start, d, out = geometry
    s = tuple(1 if windows == 1 else stride for windows, stride in zip(out, s, strict=True))  # of no account
    rows, columns = (out[axis] + (K[axis] - 1) * d[axis] // s[axis] for axis in (0, 1))
    step = rows * columns
    together = max(1, ROOM // (s[0] * s[1] * step))
    area = together * step
    y, x = (np.arange(size[axis]) + start[axis] for axis in (0, 1))
    phase = (y % s[0])[:, None] * s[1] + x % s[1]
    pixels = phase * area + (y // s[0])[:, None] * columns + x // s[1]
    used = (y // s[0] < rows)[:, None] & (x // s[1] < columns)
    i, j = (np.arange(K[axis]) * d[axis] for axis in (0, 1))
    shifts = ((i % s[0])[:, None] * s[1] + j % s[1]) * area + (i // s[0])[:, None] * columns + j // s[1]
    windows = np.arange(out[0])[:, None] * columns + np.arange(out[1])
    end = s[0] * s[1] * area
    return Planes(
        np.where(used, pixels, end).ravel().astype(np.int32),
        windows.ravel().astype(np.int32),
        shifts.ravel(),
        step,
        together,
        end + area + int(shifts.max()) % area,
    )


@compiled
def take_apart(x, planes, field):
    """Write each pixel of x (count, H·W) to its place in the field."""
    pixels, step = planes.pixels, planes.step
    for g in range(len(x)):
        for k in range(len(pixels)):
            field[np.uintp(pixels[k] + g * step)] = wide(x[g, k])
