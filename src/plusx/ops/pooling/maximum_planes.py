"""The loops of maximum pooling over contiguous planes: x (N·C, H·W), y and winner (N·C, H_out·W_out)."""

import numpy as np

from plusx.ops.bfloat16 import narrow, wide
from plusx.ops.compiling import compiled
from plusx.ops.parts import in_parts
from plusx.ops.pooling.larger import keep_largest, larger
from plusx.ops.pooling.planes import take_apart


@compiled
def _forward(part, x, planes, first_taps, lowest, y, winner):
    _, first, end = part
    _, windows, shifts, step, together, room = planes
    last = len(shifts) - 1
    field, best, won = (
        np.full(room, lowest),
        np.full(together * step, lowest),
        np.zeros(together * step, np.int32),
    )
    for n in range(first, end, together):
        count = min(together, end - n)
        take_apart(x[n : n + count], planes, field)
        best[:] = lowest
        for g in range(count):
            for k in range(len(windows)):
                won[np.uintp(windows[k] + g * step)] = first_taps[k]
        for a in range(0, len(shifts), 3):
            b, c = min(a + 1, last), min(a + 2, last)
            keep_largest(field, (shifts[a], shifts[b], shifts[c]), (a, b, c), best, won)
        for g in range(count):
            for k in range(len(windows)):
                at = np.uintp(windows[k] + g * step)
                y[n + g, k] = narrow(best[at], y[n + g, k])
                winner[n + g, k] = won[at]


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
