"""The loops of global pooling: the largest number and the mean of each feature map.

Arrays are the tensors' own memory: channels-last pictures x (N, H·W·C) with y (N, C), or planes x (N·C, H·W)
with y (N·C,).
"""

import numpy as np

from plusx.ops.bfloat16 import narrow, wide
from plusx.ops.compiling import compiled, inlined, reordering
from plusx.ops.lanes import EIGHT_LANES, alike, load, store
from plusx.ops.parts import in_parts
from plusx.ops.pooling.larger import larger
from plusx.ops.pooling.squares import ROOM, turn

BLOCK = 256  # so many pixels of a plane are added up at a time
PLANE_BLOCK = 4096  # the same, where the compiler makes vectors of sums


@inlined
def _compare(pixel, place, best, won, new_best, new_won):
    """Write the larger numbers to another array than the best so far: see `larger`."""
    for k in range(len(pixel)):
        new_best[k], new_won[k] = larger(wide(pixel[k]), place, best[k], won[k])


@compiled
def _max_forward(part, x, C, lowest, y, winner):
    """Keep the running maximum of all channels; `winner` is the number of the pixel that holds it."""
    _, first, end = part
    best, other, pixels = np.full(C, lowest), np.full(C, lowest), x.shape[1] // C
    won, won_other = np.empty(C, np.int32), np.empty(C, np.int32)
    for n in range(first, end):
        picture = x[n].reshape(pixels, C)
        best[:] = lowest
        won[:] = 0
        for p in range(0, pixels, 2):
            q = min(p + 1, pixels - 1)  # the last pixel may come twice
            _compare(picture[p], np.int32(p), best, won, other, won_other)
            _compare(picture[q], np.int32(q), other, won_other, best, won)
        for k in range(C):
            y[n, k] = narrow(best[k], y[n, k])
            winner[n, k] = won[k]


@compiled
def max_forward(count, *arguments):
    """Fill y and winner."""
    in_parts(_max_forward, count, arguments)


@compiled
def _max_backward(part, grad, C, winner, dx):
    """Write each pixel once: its channels' gradients where it is their winner, zeros elsewhere."""
    _, first, end = part
    zero = dx.dtype.type(0)
    for n in range(first, end):
        pixels, slopes, won = dx[n].reshape(dx.shape[1] // C, C), grad[n], winner[n]
        for p in range(len(pixels)):
            pixel, place = pixels[p], np.int32(p)
            for k in range(C):
                slope, holder = slopes[k], won[k]  # both are read before one is chosen: that makes vectors
                pixel[k] = slope if holder == place else zero


@compiled
def max_backward(count, *arguments):
    """Fill dx."""
    in_parts(_max_backward, count, arguments)


@compiled
def _plane_max_forward(part, x, lowest, y, winner):
    """Turn eight planes over, some pixels at a time, and keep the running maximum of each in a lane."""
    _, first, end = part
    pixels = x.shape[1]
    block = np.full(8 * min(pixels, ROOM), lowest)
    best, won = np.full(8, lowest), np.full(8, lowest)
    largest, places = np.full(8, lowest), np.zeros(8, np.int32)
    for n in range(first, end, 8):
        largest[:] = lowest
        places[:] = 0
        for begin in range(0, pixels, ROOM):
            count = min(ROOM, pixels - begin)
            turn(x, n, end - 1, begin, count, block)
            value = load(block, 0, EIGHT_LANES)
            holder = alike(value, 0)
            for p in range(1, count):
                value, holder = larger(load(block, 8 * p, EIGHT_LANES), p, value, holder)
            store(best, 0, value)
            store(won, 0, holder)
            for k in range(8):
                largest[k], places[k] = larger(best[k], np.int32(begin + won[k]), largest[k], places[k])
        for k in range(min(8, end - n)):
            y[n + k] = narrow(largest[k], y[n + k])
            winner[n + k] = places[k]


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
    """Add the pixels up, all channels side by side, block by block: long sums lose digits."""
    _, first, end = part
    total, block, pixels = np.full(C, nought), np.full(C, nought), x.shape[1] // C
    for n in range(first, end):
        total[:] = 0
        for begin in range(0, pixels, BLOCK):
            block[:] = 0
            for p in range(begin, min(begin + BLOCK, pixels)):
                pixel = x[n, p * C : (p + 1) * C]
                for k in range(C):
                    block[k] += wide(pixel[k])
            for k in range(C):
                total[k] += block[k]
        for k in range(C):
            y[n, k] = narrow(total[k] / pixels, y[n, k])


@compiled
def mean(count, *arguments):
    """Fill y."""
    in_parts(_mean, count, arguments)


@inlined
def _sum(numbers, nought):
    total = nought
    for k in range(len(numbers)):
        total += wide(numbers[k])
    return total


@reordering
def _plane_mean(part, x, nought, y):
    """Add a plane up block by block, each in the order that the compiler likes best."""
    _, first, end = part
    pixels = x.shape[1]
    for n in range(first, end):
        plane, total = x[n], nought
        if pixels <= PLANE_BLOCK:
            total = _sum(plane, nought)
        else:
            for begin in range(0, pixels, PLANE_BLOCK):
                total += _sum(plane[begin : begin + PLANE_BLOCK], nought)
        y[n] = narrow(total / pixels, y[n])


@compiled
def plane_mean(count, *arguments):
    """Fill y."""
    in_parts(_plane_mean, count, arguments)
