"""The loops of maximum pooling over contiguous planes: x (N·C, H·W), y and winner (N·C, H_out·W_out)."""

import numpy as np

from plusx.ops.bfloat16 import narrow, wide
from plusx.ops.compiling import compiled
from plusx.ops.lanes import EIGHT_LANES
from plusx.ops.parts import in_parts
from plusx.ops.pooling.larger import larger
from plusx.ops.pooling.maximum_loops import take_maxima
from plusx.ops.pooling.squares import strip, strip_height, turn, turn_back


@compiled
def _forward(part, x, size, geometry, K, inside, lowest, y, winner):
    """Turn eight planes over, some rows at a time: they are a picture of eight channels then."""
    _, first, end = part
    (H, W), (H_out, W_out) = size, geometry[3]
    together, reached = strip_height(size, geometry, K)
    block = np.full(8 * W * reached, lowest)
    best, won = np.full(8 * W_out * together, lowest), np.full(8 * W_out * together, lowest)
    for n in range(first, end, 8):
        for begin in range(0, H_out, together):
            rows, (top, bottom) = strip(begin, together, H, geometry, K)
            turn(x, n, end - 1, top * W, (bottom - top) * W, block)
            take_maxima(block, 0, 8, EIGHT_LANES, W, top, geometry, K, inside, rows, best, won, 0, 0)
            turn_back(best, y, n, end - 1, begin * W_out, (rows[1] - begin) * W_out)
            turn_back(won, winner, n, end - 1, begin * W_out, (rows[1] - begin) * W_out)


@compiled
def forward(count, *arguments):
    """Fill y and winner."""
    in_parts(_forward, count, arguments)


@compiled
def _backward(part, grad, W, geometry, K, winner, dx):
    _, first, end = part
    K_h, K_w = len(K[0]), len(K[1])
    (s_h, s_w), (start_h, start_w), (d_h, d_w), (H_out, W_out) = geometry
    offsets = np.empty(K_h * K_w, np.int64)
    for i in range(K_h):
        for j in range(K_w):
            offsets[i * K_w + j] = i * d_h * W + j * d_w
    for n in range(first, end):
        dx[n] = 0
        for p in range(H_out):
            begin = (p * s_h - start_h) * W - start_w
            for q in range(W_out):
                window = np.uintp(p * W_out + q)
                at = np.uintp(begin + q * s_w + offsets[np.uintp(winner[n, window])])
                dx[n, at] = narrow(wide(dx[n, at]) + wide(grad[n, window]), dx[n, at])


@compiled
def backward(count, *arguments):
    """Fill dx."""
    in_parts(_backward, count, arguments)


@compiled
def _forward_tiled(part, x, W, K, y, winner):
    _, first, end = part
    K_h, K_w = len(K[0]), len(K[1])
    W_out = W // K_w
    for n in range(first, end):
        for begin in range(0, y.shape[1], W_out):
            rows = x[n, begin * K_h * K_w :]
            best, won = y[n, begin : begin + W_out], winner[n, begin : begin + W_out]
            for q in range(W_out):
                largest, holder = rows[np.uintp(q * K_w)], np.int32(0)
                for i in range(K_h):
                    for j in range(K_w):
                        new = rows[np.uintp(i * W) + np.uintp(q * K_w + j)]
                        largest, holder = larger(new, np.int32(i * K_w + j), largest, holder)
                best[q] = largest
                won[q] = holder


@compiled
def forward_tiled(count, *arguments):
    """Fill y and winner; the windows tile the planes, which need no field."""
    in_parts(_forward_tiled, count, arguments)


@compiled
def _backward_tiled(part, grad, W, K, winner, dx):
    _, first, end = part
    K_h, K_w = len(K[0]), len(K[1])
    W_out, zero = W // K_w, dx.dtype.type(0)
    for n in range(first, end):
        for begin in range(0, grad.shape[1], W_out):
            g, won = grad[n, begin : begin + W_out], winner[n, begin : begin + W_out]
            for i in range(K_h):
                row = dx[n, begin * K_h * K_w + i * W :]
                for q in range(W_out):
                    share, holder = g[q], won[q]
                    for j in range(K_w):
                        row[np.uintp(q * K_w + j)] = share if holder == i * K_w + j else zero


@compiled
def backward_tiled(count, *arguments):
    """Fill dx; the windows tile the planes."""
    in_parts(_backward_tiled, count, arguments)
