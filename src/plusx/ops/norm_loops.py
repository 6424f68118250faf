"""The loops of batch normalisation with what follows it: `y = relu(x · scale + shift + added)` in one pass.

Arrays are (pixels, C), the memory of a channels-last picture. `floor` is 0 for a rectifier and −∞ for none.
"""

import numpy as np

from plusx.ops.loops import compiled, narrow, wide

BLOCK = 64  # pixels added up in the numbers' own precision, before the sum goes to float64


@compiled
def sums(x, origin):
    """Σ (x − origin) and Σ (x − origin)² of each channel, float64; a near origin keeps the second exact."""
    pixels, C = x.shape
    total = np.zeros((2, C))
    first, second = np.empty(C, origin.dtype), np.empty(C, origin.dtype)
    for begin in range(0, pixels, BLOCK):
        first[:] = 0
        second[:] = 0
        for n in range(begin, min(begin + BLOCK, pixels)):
            row = x[n]
            for k in range(C):
                d = wide(row[k]) - origin[k]
                first[k] += d
                second[k] += d * d
        for k in range(C):
            total[0, k] += first[k]
            total[1, k] += second[k]
    return total


@compiled
def transform(x, scale, shift, added, floor, y):
    """y = max(x · scale + shift + added, floor); added may be None."""
    pixels, C = x.shape
    for n in range(pixels):
        row, out = x[n], y[n]
        if added is None:
            for k in range(C):
                value = wide(row[k]) * scale[k] + shift[k]
                out[k] = narrow(floor if value < floor else value, row[k])
        else:
            other = added[n]
            for k in range(C):
                value = wide(row[k]) * scale[k] + shift[k] + wide(other[k])
                out[k] = narrow(floor if value < floor else value, row[k])


@compiled
def gradient_sums(grad, y, floor, x, mean):
    """Σ G and Σ G · (x − mean) of each channel, float64; G is what the rectifier lets through of grad."""
    pixels, C = x.shape
    total = np.zeros((2, C))
    first, second = np.empty(C, mean.dtype), np.empty(C, mean.dtype)
    zero = mean.dtype.type(0)
    for begin in range(0, pixels, BLOCK):
        first[:] = 0
        second[:] = 0
        for n in range(begin, min(begin + BLOCK, pixels)):
            row, g, out = x[n], grad[n], y[n]
            for k in range(C):
                given = wide(g[k])
                passed = zero if wide(out[k]) <= floor else given
                first[k] += passed
                second[k] += passed * (wide(row[k]) - mean[k])
        for k in range(C):
            total[0, k] += first[k]
            total[1, k] += second[k]
    return total


@compiled
def input_gradient(grad, y, floor, x, mean, scale, slope, share, dx, passed):
    """dx = scale · G − (x − mean) · slope − share; G itself goes to `passed`, which may be None."""
    pixels, C = x.shape
    zero = mean.dtype.type(0)
    for n in range(pixels):
        row, g, out, d = x[n], grad[n], y[n], dx[n]
        for k in range(C):
            given = wide(g[k])
            G = zero if wide(out[k]) <= floor else given
            d[k] = narrow(scale[k] * G - (wide(row[k]) - mean[k]) * slope[k] - share[k], row[k])
        if passed is not None:
            p = passed[n]
            for k in range(C):
                bits, none = g[k], passed.dtype.type(0)
                p[k] = none if wide(out[k]) <= floor else bits
