"""Contiguous planes turned over, eight at a time: their first pixels side by side, then their second ones.

    three planes of two pixels      turned over
    a0 a1                           a0 b0 c0
    b0 b1                           a1 b1 c1
    c0 c1

So they lie like the channels of a channels-last picture, and one instruction computes for all of them,
wherever a window begins. They are turned square by square, eight pixels of eight planes, in registers.
"""

import numpy as np

from plusx.ops.bfloat16 import narrow, wide
from plusx.ops.compiling import compiled, inlined
from plusx.ops.lanes import EIGHT_LANES, load, store, turned
from plusx.ops.pooling.ahead import ends_early, fetch

ROOM = 2048
"""Pixels of eight planes that are turned at a time: 64 KiB of float32, which stay in a near cache."""


@inlined
def _in_planes(n, last, pixels, p):
    """Where pixel p of planes n … n + 7 lies; for planes behind the last one, where the last one's lies."""
    return (
        min(n, last) * pixels + p,
        min(n + 1, last) * pixels + p,
        min(n + 2, last) * pixels + p,
        min(n + 3, last) * pixels + p,
        min(n + 4, last) * pixels + p,
        min(n + 5, last) * pixels + p,
        min(n + 6, last) * pixels + p,
        min(n + 7, last) * pixels + p,
    )


@inlined
def _in_block(p):
    """Where pixels p … p + 7 lie, each of eight planes."""
    at = 8 * p
    return at, at + 8, at + 16, at + 24, at + 32, at + 40, at + 48, at + 56


@inlined
def _square(x, at):
    """Eight numbers from each of eight places on, turned over: eight times eight lanes."""
    return turned(
        (
            load(x, at[0], EIGHT_LANES),
            load(x, at[1], EIGHT_LANES),
            load(x, at[2], EIGHT_LANES),
            load(x, at[3], EIGHT_LANES),
            load(x, at[4], EIGHT_LANES),
            load(x, at[5], EIGHT_LANES),
            load(x, at[6], EIGHT_LANES),
            load(x, at[7], EIGHT_LANES),
        )
    )


@compiled
def turn(x, n, last, begin, count, block):
    """Write pixels from `begin` on of planes n … n + 7 of x (planes, pixels) to block (count · 8,).

    There the last plane stands for those behind it, too. Of fewer than eight pixels there is no square; of
    others, those at the end may be turned twice. Small planes are asked for eight ahead.
    """
    pixels = x.shape[1]
    ahead = 8 if ends_early(x, pixels) else 0
    if count < 8:
        for p in range(count):
            for k in range(8):
                block[np.uintp(8 * p + k)] = wide(x[min(n + k, last), begin + p])
        return
    for first in range(0, count, 8):
        p = min(first, count - 8)
        fetch(x, (n + 8) * pixels + begin + p, ahead, pixels)
        rows, at = _square(x, _in_planes(n, last, pixels, begin + p)), _in_block(p)
        for k in range(8):
            store(block, at[k], rows[k])


@compiled
def turn_back(block, x, n, last, begin, count):
    """Write the block to those pixels."""
    pixels = x.shape[1]
    if count < 8:
        for p in range(count):
            for k in range(min(8, last + 1 - n)):
                x[n + k, begin + p] = narrow(block[np.uintp(8 * p + k)], x[n + k, begin + p])
        return
    for first in range(0, count, 8):
        p = min(first, count - 8)
        rows, at = _square(block, _in_block(p)), _in_planes(n, last, pixels, begin + p)
        for k in range(8):
            store(x, at[k], rows[k])


@compiled
def strip_height(size, geometry, K):
    """How many rows of windows are computed at a time, and how many rows of pixels they can reach."""
    (H, W), s, d, H_out = size, geometry[0][0], geometry[2][0], geometry[3][0]
    span = (len(K[0]) - 1) * d + 1
    together = max(1, min(H_out, (ROOM // W - span) // s + 1))
    return together, min(H, (together - 1) * s + span)


@compiled
def strip(begin, together, H, geometry, K):
    """The rows of windows from `begin` on, and of the pixels they reach: of each the first and the end."""
    s, start, d, H_out = geometry[0][0], geometry[1][0], geometry[2][0], geometry[3][0]
    behind = min(begin + together, H_out)
    last = (behind - 1) * s - start + (len(K[0]) - 1) * d
    return (begin, behind), (max(0, begin * s - start), min(H, last + 1))
