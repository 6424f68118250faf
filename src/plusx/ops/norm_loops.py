"""The loops of batch normalisation with what follows it: `y = relu(x · scale + shift + added)` in one pass.

Arrays are (rows, L): a row is one or more pixels of a channels-last picture, and factors and sums are given
for each place in it. `floor` is 0 for a rectifier and −∞ for none.

Each loop reads what it needs before it chooses or writes: only then it becomes vector instructions.
"""

import numpy as np

from plusx.ops.loops import compiled, narrow, wide

BLOCK = 64  # rows added up in the numbers' own precision, before the sum goes to float64


@compiled
def sums(x, origin):
    """Σ (x − origin) and Σ (x − origin)² of each channel, float64; a near origin keeps the second exact."""
    rows, L = x.shape
    total = np.zeros((2, L))
    first, second = np.empty(L, origin.dtype), np.empty(L, origin.dtype)
    for begin in range(0, rows, BLOCK):
        first[:] = 0
        second[:] = 0
        for n in range(begin, min(begin + BLOCK, rows)):
            row = x[n]
            for k in range(L):
                d = wide(row[k]) - origin[k]
                first[k] += d
                second[k] += d * d
        for k in range(L):
            total[0, k] += first[k]
            total[1, k] += second[k]
    return total


@compiled
def transform(x, scale, shift, added, floor, y):
    """y = max(x · scale + shift + added, floor); added may be None."""
    rows, L = x.shape
    for n in range(rows):
        row, out = x[n], y[n]
        if added is None:
            for k in range(L):
                value = wide(row[k]) * scale[k] + shift[k]
                out[k] = narrow(floor if value < floor else value, row[k])
        else:
            other = added[n]
            for k in range(L):
                value, more = wide(row[k]) * scale[k] + shift[k], wide(other[k])
                value += more
                out[k] = narrow(floor if value < floor else value, row[k])


@compiled
def gradient_sums(grad, y, floor, x, mean):
    """Σ G and Σ G · (x − mean) of each channel, float64; G is what the rectifier lets through of grad."""
    rows, L = x.shape
    total = np.zeros((2, L))
    first, second = np.empty(L, mean.dtype), np.empty(L, mean.dtype)
    zero = mean.dtype.type(0)
    for begin in range(0, rows, BLOCK):
        first[:] = 0
        second[:] = 0
        for n in range(begin, min(begin + BLOCK, rows)):
            row, g, out = x[n], grad[n], y[n]
            for k in range(L):
                given, kept, value = wide(g[k]), wide(out[k]), wide(row[k])
                G = zero if kept <= floor else given
                first[k] += G
                second[k] += G * (value - mean[k])
        for k in range(L):
            total[0, k] += first[k]
            total[1, k] += second[k]
    return total


@compiled
def input_gradient(grad, y, floor, x, scale, slope, constant, dx, passed):
    """dx = scale · G − slope · x + constant; G itself goes to `passed`, which may be None."""
    rows, L = x.shape
    zero = grad.dtype.type(0)
    for n in range(rows):
        row, g, out, d = x[n], grad[n], y[n], dx[n]
        if passed is None:
            for k in range(L):
                given, kept, value = g[k], wide(out[k]), wide(row[k])
                G = wide(zero if kept <= floor else given)
                d[k] = narrow(scale[k] * G - slope[k] * value + constant[k], row[k])
        else:
            p = passed[n]
            for k in range(L):
                given, kept, value = g[k], wide(out[k]), wide(row[k])
                G = zero if kept <= floor else given
                p[k] = G
                d[k] = narrow(scale[k] * wide(G) - slope[k] * value + constant[k], row[k])
