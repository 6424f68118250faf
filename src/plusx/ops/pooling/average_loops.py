"""The loops of average pooling over channels-last pictures of eight channels and more.

They are as those in `plusx.ops.pooling.maximum_loops`. Every sum is taken in float32 at least and rounded
once. `n` (H_out·W_out,) says by how much each is divided.
"""

import numpy as np

from plusx.ops.bfloat16 import narrow, wide
from plusx.ops.compiling import compiled, inlined
from plusx.ops.lanes import alike, broadcast, load, store
from plusx.ops.parts import in_parts
from plusx.ops.pooling.ahead import ends_early, fetch
from plusx.ops.pooling.reach import UNROLLED


@inlined
def _give_alone(grad, n, dx):
    for k in range(len(dx)):
        dx[k] = narrow(wide(grad[k]) / n, grad[k])


@inlined
def _give_two(grad_a, grad_b, n_a, n_b, dx):
    for k in range(len(dx)):
        a, b = wide(grad_a[k]) / n_a, wide(grad_b[k]) / n_b
        dx[k] = narrow(a + b, grad_a[k])


@inlined
def _add_shares(grad_a, grad_b, n_a, n_b, total):
    for k in range(len(total)):
        total[k] += wide(grad_a[k]) / n_a + wide(grad_b[k]) / n_b


@compiled
def take_means(x, at, C, lanes, W, top, geometry, K, inside, rows, n, y, to, fresh):
    """Write the means of some rows of windows over channels-last pixels, a vector of channels at a time.

    The pixels begin at `at` with row `top` of the picture, the means at `to` with the first of the rows.
    Each window asks for its share of the pixels that the next row of windows adds, `fresh` of them.
    """
    K_h, K_w = len(K[0]), len(K[1])
    (s_h, s_w), (start_h, start_w), _, (_, W_out) = geometry
    up, low, left, right = inside
    for p in range(rows[0], rows[1]):
        for q in range(W_out):
            corner = at + ((p * s_h - start_h - top) * W + q * s_w - start_w) * C
            mean, divisor = to + ((p - rows[0]) * W_out + q) * C, broadcast(n, p * W_out + q, lanes)
            soon = at + (((p + 1) * s_h - top) * W + q * fresh) * C
            whole = K_h * K_w <= UNROLLED and low[p] - up[p] == K_h and right[q] - left[q] == K_w
            for first in range(0, C, len(lanes)):
                k = min(first, C - len(lanes))  # the last ones may come twice
                fetch(x, soon + first, fresh, C)
                total = alike(divisor, 0)
                if whole:  # the compiler writes the taps out
                    for i in range(K_h):
                        for j in range(K_w):
                            total = total + load(x, corner + (i * W + j) * C + k, lanes)
                else:
                    for i in range(up[p], low[p]):
                        for j in range(left[q], right[q]):
                            total = total + load(x, corner + (i * W + j) * C + k, lanes)
                store(y, mean + k, total / divisor)


@compiled
def _forward(part, x, C, lanes, W, geometry, K, inside, n, y):
    _, begin, end = part
    s, rows = geometry[0], (0, geometry[3][0])
    fresh = s[0] * s[1] if ends_early(x, W * C) else 0
    for picture in range(begin, end):
        at, to = picture * x.shape[1], picture * y.shape[1]
        take_means(x, at, C, lanes, W, 0, geometry, K, inside, rows, n, y, to, fresh)


@compiled
def forward(count, *arguments):
    """Fill y."""
    in_parts(_forward, count, arguments)


@compiled
def _backward(part, grad, C, size, W_out, K, windows, n, dx):
    _, begin, end = part
    K_h, K_w = len(K[0]), len(K[1])
    H, W = size
    (of_row, row_windows, _), (of_column, column_windows, _) = windows
    reaching = np.zeros(K_h * K_w + 1, np.int64)
    total, nothing = np.empty(C, n.dtype), np.zeros(C, grad.dtype)
    for picture in range(begin, end):
        for row in range(H):
            for column in range(W):
                found = 0
                for a in range(of_row[row]):
                    for b in range(of_column[column]):
                        reaching[found] = row_windows[row, a] * W_out + column_windows[column, b]
                        found += 1
                at = (row * W + column) * C
                pixel = dx[picture, at : at + C]
                if found == 0:
                    pixel[:] = 0
                    continue
                first, second = reaching[0], reaching[1]
                a = grad[picture, first * C : (first + 1) * C]
                if found == 1:
                    _give_alone(a, n[first], pixel)
                    continue
                b = grad[picture, second * C : (second + 1) * C]
                if found == 2:
                    _give_two(a, b, n[first], n[second], pixel)
                    continue
                total[:] = 0
                for m in range(0, found, 2):
                    first, second = reaching[m], reaching[m + 1]
                    a = grad[picture, first * C : (first + 1) * C]
                    b = grad[picture, second * C : (second + 1) * C] if m + 1 < found else nothing
                    _add_shares(a, b, n[first], n[second], total)
                for k in range(C):
                    pixel[k] = narrow(total[k], pixel[k])


@compiled
def backward(count, *arguments):
    """Fill dx."""
    in_parts(_backward, count, arguments)
