"""The loops of maximum pooling over channels-last pictures of eight channels and more.

They are compiled for each size of window: with K = (K_h, K_w) `known` to the compiler, a window of up to 16
taps that lies inside the picture is a fixed row of comparisons. The running maximum and its holder stay in
registers, for eight or sixteen channels at a time. Backward, each pixel collects from the windows that reach
it and is written once.

Arrays are the tensors' own memory: x (N, H·W·C) and y, winner (N, H_out·W_out·C). The type of winner is wide
enough for K_h · K_w: the taps, and the number that stands for none. `geometry` is without its K; `inside` and
`windows` are from `plusx.ops.pooling.reach`. Contiguous pictures have loops of their own,
`plusx.ops.pooling.maximum_planes`.
"""

import numpy as np

from plusx.ops.bfloat16 import narrow, wide
from plusx.ops.compiling import compiled, inlined
from plusx.ops.lanes import alike, load, store
from plusx.ops.parts import in_parts
from plusx.ops.pooling.ahead import ends_early, fetch
from plusx.ops.pooling.larger import larger
from plusx.ops.pooling.reach import UNROLLED


@inlined
def _take_one(grad, won, at, tap, dx):
    zero = dx.dtype.type(0)
    for k in range(len(dx)):
        g, holder = grad[at + np.uintp(k)], won[at + np.uintp(k)]
        dx[k] = g if holder == tap else zero


@inlined
def _take_two(grad, won, at_a, at_b, tap_a, tap_b, dx):
    zero = dx.dtype.type(0)
    for k in range(len(dx)):
        a, b = grad[at_a + np.uintp(k)], grad[at_b + np.uintp(k)]
        holds_a, holds_b = won[at_a + np.uintp(k)], won[at_b + np.uintp(k)]
        a = a if holds_a == tap_a else zero
        b = b if holds_b == tap_b else zero
        dx[k] = narrow(wide(a) + wide(b), a)


@inlined
def _add_two(grad, won, at_a, at_b, tap_a, tap_b, dx):
    zero = dx.dtype.type(0)
    for k in range(len(dx)):
        a, b, total = grad[at_a + np.uintp(k)], grad[at_b + np.uintp(k)], dx[k]
        holds_a, holds_b = won[at_a + np.uintp(k)], won[at_b + np.uintp(k)]
        a = a if holds_a == tap_a else zero
        b = b if holds_b == tap_b else zero
        total = narrow(wide(total) + wide(a), a)
        dx[k] = narrow(wide(total) + wide(b), a)


@compiled
def take_maxima(x, at, C, lanes, W, top, geometry, K, inside, rows, y, winner, to, fresh):
    """Write the maxima of some rows of windows over channels-last pixels, a vector of channels at a time.

    The pixels begin at `at` with row `top` of the picture, the maxima at `to` with the first of the rows.
    Each window asks for its share of the pixels that the next row of windows adds, `fresh` of them.
    """
    K_h, K_w = len(K[0]), len(K[1])
    (s_h, s_w), (start_h, start_w), (d_h, d_w), (_, W_out) = geometry
    up, low, left, right = inside
    for p in range(rows[0], rows[1]):
        for q in range(W_out):
            corner = at + ((p * s_h - start_h - top) * W + q * s_w - start_w) * C
            maximum, down, aside = to + ((p - rows[0]) * W_out + q) * C, d_h * W * C, d_w * C
            soon = at + (((p + 1) * s_h - top) * W + q * fresh) * C
            whole = K_h * K_w <= UNROLLED and low[p] - up[p] == K_h and right[q] - left[q] == K_w
            for first in range(0, C, len(lanes)):
                k = corner + min(first, C - len(lanes))  # the last ones may come twice
                fetch(x, soon + first, fresh, C)
                if whole:  # the compiler writes the taps out, if it sees where the first one lies
                    value = load(x, k, lanes)
                    holder = alike(value, 0)
                    for i in range(K_h):
                        for j in range(K_w):
                            new = load(x, k + i * down + j * aside, lanes)
                            value, holder = larger(new, i * K_w + j, value, holder)
                else:
                    i, j = up[p], left[q]
                    value = load(x, k + i * down + j * aside, lanes)
                    holder = alike(value, i * K_w + j)
                    for i in range(up[p], low[p]):
                        for j in range(left[q], right[q]):
                            new = load(x, k + i * down + j * aside, lanes)
                            value, holder = larger(new, i * K_w + j, value, holder)
                store(y, maximum + k - corner, value)
                store(winner, maximum + k - corner, holder)


@compiled
def _forward(part, x, C, lanes, W, geometry, K, inside, y, winner):
    _, begin, end = part
    s, rows = geometry[0], (0, geometry[3][0])
    fresh = s[0] * s[1] if ends_early(x, W * C) else 0
    for n in range(begin, end):
        at, to = n * x.shape[1], n * y.shape[1]
        take_maxima(x, at, C, lanes, W, 0, geometry, K, inside, rows, y, winner, to, fresh)


@compiled
def forward(count, *arguments):
    """Fill y and winner."""
    in_parts(_forward, count, arguments)


@compiled
def _backward(part, grad, C, size, W_out, K, windows, winner, dx):
    _, first, end = part
    K_h, K_w = len(K[0]), len(K[1])
    H, W = size
    (of_row, row_windows, row_taps), (of_column, column_windows, column_taps) = windows
    at, tap = np.empty(K_h * K_w + 1, np.uintp), np.empty(K_h * K_w + 1, winner.dtype)
    for n in range(first, end):
        for row in range(H):
            for column in range(W):
                found = 0
                for a in range(of_row[row]):
                    for b in range(of_column[column]):
                        at[found] = (row_windows[row, a] * W_out + column_windows[column, b]) * C
                        tap[found] = row_taps[row, a] * K_w + column_taps[column, b]
                        found += 1
                begin = (row * W + column) * C
                pixel = dx[n, begin : begin + C]
                if found == 0:
                    pixel[:] = 0
                    continue
                if found == 1:
                    _take_one(grad[n], winner[n], at[0], tap[0], pixel)
                    continue
                _take_two(grad[n], winner[n], at[0], at[1], tap[0], tap[1], pixel)
                at[found], tap[found] = at[0], K_h * K_w  # held by nobody
                for k in range(2, found, 2):
                    _add_two(grad[n], winner[n], at[k], at[k + 1], tap[k], tap[k + 1], pixel)


@compiled
def backward(count, *arguments):
    """Fill dx."""
    in_parts(_backward, count, arguments)
