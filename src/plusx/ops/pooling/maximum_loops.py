"""The loops of maximum pooling over channels-last pictures, compiled for each size of window.

With K = (K_h, K_w) `known` to the compiler, a window of up to 16 taps that lies inside the picture is a fixed
row of comparisons: the running maximum and its holder stay in registers, for eight or sixteen channels at a
time. Backward, each pixel collects from the windows that reach it and is written once.

Arrays are the tensors' own memory: x (N, H·W·C) and y, winner (N, H_out·W_out·C); `geometry` is
without its K. The type of winner is wide enough for K_h · K_w: the taps, and the number that stands for none.
Contiguous pictures have loops of their own, `plusx.ops.pooling.maximum_planes`.
"""

import numpy as np

from plusx.ops.bfloat16 import narrow, wide
from plusx.ops.compiling import compiled, inlined
from plusx.ops.parts import in_parts
from plusx.ops.pooling.larger import larger
from plusx.ops.pooling.reach import UNROLLED, windows_over


@inlined
def _whole(x, n, begin, down, right, C, K_h, K_w, y, winner, at):
    for k in range(C):
        largest, holder = x[n, np.uintp(begin + k)], np.int32(0)
        for i in range(K_h):
            for j in range(K_w):
                new = x[n, np.uintp(begin + i * down + j * right + k)]
                largest, holder = larger(new, np.int32(i * K_w + j), largest, holder)
        y[n, np.uintp(at + k)] = largest
        winner[n, np.uintp(at + k)] = holder


@inlined
def _keep_larger_of_two(a, b, tap_a, tap_b, best, won):
    for k in range(len(best)):
        best[k], won[k] = larger(b[k], tap_b, a[k], tap_a)


@inlined
def _keep_larger_of_three(a, b, tap_a, tap_b, best, won):
    for k in range(len(best)):
        value, holder = larger(a[k], tap_a, best[k], won[k])
        best[k], won[k] = larger(b[k], tap_b, value, holder)


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
def _forward(part, x, C, size, geometry, K, y, winner):
    _, first, end = part
    K_h, K_w = len(K[0]), len(K[1])
    (H, W), (s_h, s_w), (start_h, start_w), (d_h, d_w), (H_out, W_out) = size, *geometry
    places, tap = np.empty(K_h * K_w, np.int64), np.empty(K_h * K_w, winner.dtype)
    for n in range(first, end):
        for p in range(H_out):
            for q in range(W_out):
                top, left, at = p * s_h - start_h, q * s_w - start_w, (p * W_out + q) * C
                fits = top >= 0 and top + (K_h - 1) * d_h < H and left >= 0 and left + (K_w - 1) * d_w < W
                if K_h * K_w <= UNROLLED and fits:
                    _whole(x, n, (top * W + left) * C, d_h * W * C, d_w * C, C, K_h, K_w, y, winner, at)
                    continue
                best, won = y[n, at : at + C], winner[n, at : at + C]
                found = 0
                for i in range(K_h):
                    for j in range(K_w):
                        row, column = top + i * d_h, left + j * d_w
                        if 0 <= row < H and 0 <= column < W:
                            places[found], tap[found] = (row * W + column) * C, i * K_w + j
                            found += 1
                for m in range(0, found, 2):
                    other = min(m + 1, found - 1)  # the last one may meet itself
                    a, b = x[n, places[m] : places[m] + C], x[n, places[other] : places[other] + C]
                    if m == 0:
                        _keep_larger_of_two(a, b, tap[m], tap[other], best, won)
                    else:
                        _keep_larger_of_three(a, b, tap[m], tap[other], best, won)


@compiled
def forward(count, *arguments):
    """Fill y and winner."""
    in_parts(_forward, count, arguments)


@compiled
def _backward(part, grad, C, size, geometry, K, winner, dx):
    _, first, end = part
    K_h, K_w = len(K[0]), len(K[1])
    (H, W), (s_h, s_w), (start_h, start_w), (d_h, d_w), (H_out, W_out) = size, *geometry
    of_row, row_windows, row_taps = windows_over(H, K_h, s_h, start_h, d_h, H_out)
    of_column, column_windows, column_taps = windows_over(W, K_w, s_w, start_w, d_w, W_out)
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
