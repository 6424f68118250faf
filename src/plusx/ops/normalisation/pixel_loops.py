"""The loops of batch normalisation with what follows it: `y = f(v)`, `v = x · scale + shift + added`.

Arrays are (rows, L): a row is one or more pixels of a channels-last picture, and factors and sums are given
for each place in it. `added` may be None.

The backward loops compute v again: that is cheaper than reading what would have to be kept of it. Each loop
reads what it needs before it chooses or writes: only then it becomes vector instructions.
"""

import numpy as np

from plusx.ops.activation import ACTIVATIONS
from plusx.ops.bfloat16 import narrow, wide
from plusx.ops.compiling import compiled, inlined
from plusx.ops.parts import in_parts

BLOCK = 64  # rows added up in the numbers' own precision, before the sum goes to float64
NOUGHT, ONE, THREE, SIX = np.float32([0, 1, 3, 6])  # exact in any precision, and they widen nothing

RELU, HARDSWISH = ACTIVATIONS.index("relu"), ACTIVATIONS.index("hardswish")
"""Their numbers, which a compiled choice is made by."""


@inlined
def f(v, number):
    """The activation of this number."""
    if number == RELU:
        v = NOUGHT if v < NOUGHT else v
    if number == HARDSWISH:
        gate = v + THREE
        gate = NOUGHT if gate < NOUGHT else gate
        gate = SIX if gate > SIX else gate
        v = v * gate / SIX
    return v


@inlined
def through_f(g, v, number):
    """Its derivative at v, times g."""
    if number == RELU:
        g = NOUGHT if v <= NOUGHT else g
    if number == HARDSWISH:
        slope = (v + v + THREE) / SIX
        slope = NOUGHT if v <= -THREE else slope
        slope = ONE if v >= THREE else slope
        g = g * slope
    return g


@compiled
def _sums(part, x, origin, total):
    """Σ (x − origin) and Σ (x − origin)² of each channel, float64; a near origin keeps the second exact."""
    number, start, end = part
    L = x.shape[1]
    first, second = np.empty(L, origin.dtype), np.empty(L, origin.dtype)
    for begin in range(start, end, BLOCK):
        first[:] = 0
        second[:] = 0
        for n in range(begin, min(begin + BLOCK, end)):
            row = x[n]
            for k in range(L):
                d = wide(row[k]) - origin[k]
                first[k] += d
                second[k] += d * d
        for k in range(L):
            total[number, 0, k] += first[k]
            total[number, 1, k] += second[k]


@compiled
def sums(count, *arguments):
    """Fill total (parts, 2, L)."""
    in_parts(_sums, count, arguments)


@compiled
def _transform(part, x, added, activation, factors, y):
    """y = f(x · scale + shift + added); factors are (scale, shift)."""
    _, first, end = part
    L = x.shape[1]
    for n in range(first, end):
        row, out = x[n], y[n]
        other = row if added is None else added[n]
        for k in range(L):
            v = wide(row[k]) * factors[0, k] + factors[1, k]
            if added is not None:
                v += wide(other[k])
            out[k] = narrow(f(v, len(activation)), row[k])


@compiled
def transform(count, *arguments):
    """Fill y."""
    in_parts(_transform, count, arguments)


@compiled
def _gradient_sums(part, x, grad, added, activation, factors, total):
    """Σ G and Σ G · (x − mean), float64, with G = ∂L/∂v; factors are (scale, shift, mean)."""
    number, start, end = part
    L = x.shape[1]
    first, second = np.empty(L, factors.dtype), np.empty(L, factors.dtype)
    for begin in range(start, end, BLOCK):
        first[:] = 0
        second[:] = 0
        for n in range(begin, min(begin + BLOCK, end)):
            row, g = x[n], grad[n]
            other = row if added is None else added[n]
            for k in range(L):
                given, value = wide(g[k]), wide(row[k])
                v = value * factors[0, k] + factors[1, k]
                if added is not None:
                    v += wide(other[k])
                G = through_f(given, v, len(activation))
                first[k] += G
                second[k] += G * (value - factors[2, k])
        for k in range(L):
            total[number, 0, k] += first[k]
            total[number, 1, k] += second[k]


@compiled
def gradient_sums(count, *arguments):
    """Fill total (parts, 2, L)."""
    in_parts(_gradient_sums, count, arguments)


@compiled
def _input_gradient(part, x, grad, added, activation, factors, dx, passed):
    """dx = scale · G − slope · x + constant, and G itself goes to `passed`, if there is anything added.

    Factors are (scale, shift, slope, constant).
    """
    _, first, end = part
    L = x.shape[1]
    for n in range(first, end):
        row, g, d = x[n], grad[n], dx[n]
        other, p = (row, d) if added is None else (added[n], passed[n])
        for k in range(L):
            given, value = wide(g[k]), wide(row[k])
            v = value * factors[0, k] + factors[1, k]
            if added is not None:
                v += wide(other[k])
            G = through_f(given, v, len(activation))
            d[k] = narrow(factors[0, k] * G - factors[2, k] * value + factors[3, k], row[k])
            if added is not None:
                p[k] = narrow(G, row[k])


@compiled
def input_gradient(count, *arguments):
    """Fill dx and passed."""
    in_parts(_input_gradient, count, arguments)
