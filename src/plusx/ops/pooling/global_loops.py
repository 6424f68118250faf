"""The loops of global pooling: the largest number and the mean of each feature map.

Arrays are the tensors' own memory: channels-last pictures x (N, H·W·C) with y (N, C), or planes x (N·C, H·W)
with y (N·C,).
"""

import numpy as np

from plusx.ops.loops import compiled, inlined, narrow, reordering, wide
from plusx.ops.parts import in_parts


@compiled
def _max_forward(part, x, C, lowest, y, winner):
    """Keep the running maximum of all channels; `winner` is the number of the pixel that holds it."""
    _, first, end = part
    best, pixels = np.full(C, lowest), x.shape[1] // C
    for n in range(first, end):
        won = winner[n]
        best[:] = lowest
        won[:] = 0
        for p in range(pixels):
            pixel = x[n, p * C : (p + 1) * C]
            _take_larger(pixel, np.int32(p), best, won)
        for k in range(C):
            y[n, k] = narrow(best[k], y[n, k])


@compiled
def max_forward(count, *arguments):
    """Fill y and winner."""
    in_parts(_max_forward, count, arguments)


@inlined
def _take_larger(pixel, p, best, won):
    for k in range(len(best)):
        new, old, holder = wide(pixel[k]), best[k], won[k]
        larger = (new > old) | (new != new)
        best[k] = new if larger else old
        won[k] = p if larger else holder


@compiled
def _max_backward(part, grad, C, winner, dx):
    """Empty the picture, then write each gradient to its winner."""
    _, first, end = part
    for n in range(first, end):
        dx[n] = 0
        for k in range(C):
            dx[n, np.uintp(winner[n, k] * C + k)] = grad[n, k]


@compiled
def max_backward(count, *arguments):
    """Fill dx."""
    in_parts(_max_backward, count, arguments)


@inlined
def _take_larger_half(best, won, half, count):
    """Compare the second half with the first, place by place, and leave the winners in the first."""
    for k in range(count - half):
        old, new = best[np.uintp(k)], best[np.uintp(half + k)]
        at_old, at_new = won[np.uintp(k)], won[np.uintp(half + k)]
        # NaN is the largest, the last of several; among equal numbers the first counts.
        larger = (new > old) | ((new == old) & (at_new < at_old))
        larger |= (new != new) & ((old == old) | (at_new > at_old))
        best[np.uintp(k)] = new if larger else old
        won[np.uintp(k)] = at_new if larger else at_old


@compiled
def _plane_max_forward(part, x, lowest, y, winner):
    """Halve the plane until one number is left: each halving is a row of comparisons."""
    _, first, end = part
    pixels = x.shape[1]
    best, won = np.full(pixels, lowest), np.empty(pixels, np.int32)
    for n in range(first, end):
        plane, count = x[n], pixels
        for k in range(pixels):
            best[k] = wide(plane[k])
        for k in range(pixels):
            won[k] = np.int32(k)
        while count > 1:
            half = (count + 1) // 2
            _take_larger_half(best, won, half, count)
            count = half
        y[n] = narrow(best[0], y[n])
        winner[n] = won[0]


@compiled
def plane_max_forward(count, *arguments):
    """Fill y and winner."""
    in_parts(_plane_max_forward, count, arguments)


@compiled
def _plane_max_backward(part, grad, winner, dx):
    """Empty the plane, then write its gradient to its winner."""
    _, first, end = part
    for n in range(first, end):
        dx[n] = 0
        dx[n, np.uintp(winner[n])] = grad[n]


@compiled
def plane_max_backward(count, *arguments):
    """Fill dx."""
    in_parts(_plane_max_backward, count, arguments)


@compiled
def _mean(part, x, C, nought, y):
    """Add the pixels up, all channels side by side."""
    _, first, end = part
    total, pixels = np.full(C, nought), x.shape[1] // C
    for n in range(first, end):
        total[:] = 0
        for p in range(pixels):
            pixel = x[n, p * C : (p + 1) * C]
            for k in range(C):
                total[k] += wide(pixel[k])
        for k in range(C):
            y[n, k] = narrow(total[k] / pixels, y[n, k])


@compiled
def mean(count, *arguments):
    """Fill y."""
    in_parts(_mean, count, arguments)


@reordering
def _plane_mean(part, x, nought, y):
    """Add a plane up, in the order that the compiler likes best."""
    _, first, end = part
    pixels = x.shape[1]
    for n in range(first, end):
        plane, total = x[n], nought
        for k in range(pixels):
            total += wide(plane[k])
        y[n] = narrow(total / pixels, y[n])


@compiled
def plane_mean(count, *arguments):
    """Fill y."""
    in_parts(_plane_mean, count, arguments)
