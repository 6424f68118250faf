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
def taps_inside(length: int, K: int, s: int, start: int, d: int, out: int) -> Any:
    """For each window of an axis: its first tap that lies inside, and the one behind its last."""
    first, end = np.zeros(out, np.int64), np.zeros(out, np.int64)
    for p in range(out):
        begin = p * s - start
        first[p] = max(0, -(begin // d))
        end[p] = min(K, (length - 1 - begin) // d + 1)
    return first, end
