"""The loops of maximum pooling over contiguous planes: x (N·C, H·W), y and winner (N·C, H_out·W_out)."""

import numpy as np

from plusx.ops.bfloat16 import narrow, wide
from plusx.ops.compiling import compiled
from plusx.ops.lanes import EIGHT_LANES, load, spread, store
from plusx.ops.parts import in_parts
from plusx.ops.pooling.larger import larger
from plusx.ops.pooling.reach import UNROLLED, taps_inside
from plusx.ops.pooling.squares import ROOM, turn, turn_back


@compiled
def _forward(part, x, size, geometry, K, lowest, y, winner):
    """Turn eight planes over, some rows at a time, and keep the maximum of each in a lane, tap by tap."""
    _, first, end = part
    K_h, K_w = len(K[0]), len(K[1])
    (H, W), (s_h, s_w), (start_h, start_w), (d_h, d_w), (H_out, W_out) = size, *geometry
    up, low = taps_inside(H, K_h, s_h, start_h, d_h, H_out)
    left, right = taps_inside(W, K_w, s_w, start_w, d_w, W_out)
    span = (K_h - 1) * d_h + 1
    together = max(1, min(H_out, (ROOM // W - span) // s_h + 1))
    block = np.full(8 * W * min(H, (together - 1) * s_h + span), lowest)
    best, won = np.full(8 * W_out * together, lowest), np.full(8 * W_out * together, lowest)
    number = block.dtype.type
    for n in range(first, end, 8):
        for begin in range(0, H_out, together):
            behind = min(begin + together, H_out)
            top = max(0, begin * s_h - start_h)
            bottom = min(H, (behind - 1) * s_h - start_h + span)
            turn(x, n, end - 1, top * W, (bottom - top) * W, block)
            for p in range(begin, behind):
                for q in range(W_out):
                    corner = (p * s_h - start_h - top) * W + q * s_w - start_w
                    if K_h * K_w <= UNROLLED and low[p] - up[p] == K_h and right[q] - left[q] == K_w:
                        value, holder = load(block, 8 * corner, EIGHT_LANES), spread(number(0), EIGHT_LANES)
                        for i in range(K_h):
                            for j in range(K_w):
                                new = load(block, 8 * (corner + i * d_h * W + j * d_w), EIGHT_LANES)
                                value, holder = larger(new, number(i * K_w + j), value, holder)
                    else:
                        i, j = up[p], left[q]
                        value = load(block, 8 * (corner + i * d_h * W + j * d_w), EIGHT_LANES)
                        holder = spread(number(i * K_w + j), EIGHT_LANES)
                        for i in range(up[p], low[p]):
                            for j in range(left[q], right[q]):
                                new = load(block, 8 * (corner + i * d_h * W + j * d_w), EIGHT_LANES)
                                value, holder = larger(new, number(i * K_w + j), value, holder)
                    at = 8 * ((p - begin) * W_out + q)
                    store(best, at, value)
                    store(won, at, holder)
            place, windows = begin * W_out, (behind - begin) * W_out
            turn_back(best, y, n, end - 1, place, windows)
            turn_back(won, winner, n, end - 1, place, windows)


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
