"""Which windows of a pooling reach a pixel, which of their taps lie inside, and which are written out."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plusx.ops.pooling.windows import PoolGeometry, along_axis
from plusx.ops.shape import Pair

Numbers = NDArray[np.int64]
UNROLLED = 16
"""Taps of a pooling window that are written out one after the other; a larger window is walked."""


@lru_cache(maxsize=64)
def taps_inside(size: Pair, geometry: PoolGeometry) -> tuple[Numbers, ...]:
    """Which taps of the windows lie inside: the first and the end by rows, then by columns.

    >>> taps_inside((4, 4), PoolGeometry(K=(3, 3), stride=(2, 2), start=(1, 1), dilation=(1, 1), out=(2, 2)))
    (array([1, 0]), array([3, 3]), array([1, 0]), array([3, 3]))
    """
    bounds = []
    for length, K, s, start, d, out in zip(size, *geometry, strict=True):
        begin = np.arange(out) * s - start
        bounds += [np.maximum(0, -(begin // d)), np.minimum(K, (length - 1 - begin) // d + 1)]
    return tuple(bounds)


@lru_cache(maxsize=64)
def windows_over(size: Pair, geometry: PoolGeometry) -> tuple[Any, ...]:
    """How many windows reach each row, which (in order), and through which of their taps; and each column.

    >>> rows, _ = windows_over((4, 4), PoolGeometry((3, 3), (2, 2), (1, 1), (1, 1), (2, 2)))
    >>> rows[0], rows[1][1], rows[2][1]  # the second row is the last of window 0 and the first of window 1
    (array([1, 2, 1, 1]), array([0, 1, 0]), array([2, 0, 0]))
    """
    return tuple(_over_axis(*axis) for axis in zip(size, *geometry, strict=True))


def _over_axis(length: int, K: int, s: int, start: int, d: int, out: int) -> tuple[Numbers, ...]:
    count, every, p = np.zeros(length, np.int64), np.arange(length), np.arange(out)
    windows, taps = np.zeros((length, K), np.int64), np.zeros((length, K), np.int64)
    # Backwards, since a pixel's first window reaches it by the latest tap.
    for i, reaching, pixels in reversed(list(along_axis(length, K, s, start, d, out))):
        at = every[pixels]
        windows[at, count[at]], taps[at, count[at]] = p[reaching], i
        count[at] += 1
    return count, windows, taps
