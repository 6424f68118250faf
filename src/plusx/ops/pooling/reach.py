"""Which windows of a pooling reach a pixel, which of their taps lie inside, and which are written out."""

from typing import Any

import numpy as np

from plusx.ops.compiling import compiled

UNROLLED = 16
"""Taps of a pooling window that are written out one after the other; a larger window is walked."""


@compiled
def windows_over(length: int, K: int, s: int, start: int, d: int, out: int) -> Any:
    """For each pixel of an axis: how many windows reach it, which (in order), and through which tap."""
    count = np.zeros(length, np.int64)
    windows, taps = np.zeros((length, K), np.int64), np.zeros((length, K), np.int64)
    for p in range(out):
        for i in range(K):
            pixel = p * s + i * d - start
            if 0 <= pixel < length:
                windows[pixel, count[pixel]], taps[pixel, count[pixel]] = p, i
                count[pixel] += 1
    return count, windows, taps


@compiled
def _inside(length: int, K: int, s: int, start: int, d: int, out: int) -> Any:
    """For each window of an axis: its first tap that lies inside the picture, and the one behind the last."""
    first, end = np.zeros(out, np.int64), np.zeros(out, np.int64)
    for p in range(out):
        begin = p * s - start
        first[p] = max(0, -(begin // d))
        end[p] = min(K, (length - 1 - begin) // d + 1)
    return first, end


@compiled
def taps_inside(size: Any, geometry: Any, K: Any) -> Any:
    """Which taps of the windows lie inside: the first and the end by rows, then by columns."""
    s, start, d, out = geometry
    up, low = _inside(size[0], len(K[0]), s[0], start[0], d[0], out[0])
    left, right = _inside(size[1], len(K[1]), s[1], start[1], d[1], out[1])
    return up, low, left, right
