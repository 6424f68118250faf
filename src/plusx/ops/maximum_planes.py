"""The loops of maximum pooling over contiguous planes: x (N·C, H·W), y and winner (N·C, H_out·W_out)."""

import functools
from typing import Any

import numpy as np

from plusx.ops.loops import compiled, inlined, narrow, wide
from plusx.ops.planes import take_apart


@inlined
def _take_larger(pixels, best, won, tap):
    for t in range(len(best)):
        new, old, holder = pixels[t], best[t], won[t]
        larger = (new > old) | (new != new)
        best[t] = new if larger else old
        won[t] = tap if larger else holder


@functools.lru_cache
def plane_loops(K_h: int, K_w: int, taps: type[np.unsignedinteger[Any]]) -> tuple[Any, Any, Any, Any]:
    """Return forward and backward, then both for windows that tile the planes, which need no field.

    Args:
        K_h: rows of the window.
        K_w: columns of the window.
        taps: the type of `winner`, wide enough for K_h · K_w.
    """

    @compiled
    def forward(x, planes, first_taps, lowest, y, winner):
        _, windows, shifts, step, together, room = planes
        field, best, won = (
            np.full(room, lowest),
            np.full(together * step, lowest),
            np.zeros(together * step, np.int32),
        )
        for n in range(0, len(x), together):
            count = min(together, len(x) - n)
            take_apart(x[n : n + count], planes, field)
            best[:] = lowest
            for g in range(count):
                for k in range(len(windows)):
                    won[np.uintp(windows[k] + g * step)] = first_taps[k]
            for tap in range(len(shifts)):
                _take_larger(field[shifts[tap] :], best, won, np.int32(tap))
            for g in range(count):
                for k in range(len(windows)):
                    at = np.uintp(windows[k] + g * step)
                    y[n + g, k] = narrow(best[at], y[n + g, k])
                    winner[n + g, k] = taps(won[at])

    @compiled
    def backward(grad, W, steps, winner, dx):
        (s_h, s_w), (start_h, start_w), (d_h, d_w), (H_out, W_out) = steps
        offsets = np.empty(K_h * K_w, np.int64)
        for i in range(K_h):
            for j in range(K_w):
                offsets[i * K_w + j] = i * d_h * W + j * d_w
        for n in range(len(dx)):
            dx[n] = 0
            for p in range(H_out):
                begin = (p * s_h - start_h) * W - start_w
                for q in range(W_out):
                    window = np.uintp(p * W_out + q)
                    at = np.uintp(begin + q * s_w + offsets[np.uintp(winner[n, window])])
                    dx[n, at] = narrow(wide(dx[n, at]) + wide(grad[n, window]), dx[n, at])

    @compiled
    def forward_tiled(x, W, y, winner):
        W_out = W // K_w
        for n in range(len(x)):
            for first in range(0, y.shape[1], W_out):
                rows = x[n, first * K_h * K_w :]
                best, won = y[n, first : first + W_out], winner[n, first : first + W_out]
                for q in range(W_out):
                    largest, holder = rows[np.uintp(q * K_w)], np.int32(0)
                    for i in range(K_h):
                        for j in range(K_w):
                            new = rows[np.uintp(i * W) + np.uintp(q * K_w + j)]
                            larger = (wide(new) > wide(largest)) | (wide(new) != wide(new))
                            largest = new if larger else largest
                            holder = np.int32(i * K_w + j) if larger else holder
                    best[q] = largest
                    won[q] = taps(holder)

    @compiled
    def backward_tiled(grad, W, winner, dx):
        W_out, zero = W // K_w, dx.dtype.type(0)
        for n in range(len(dx)):
            for first in range(0, grad.shape[1], W_out):
                g, won = grad[n, first : first + W_out], winner[n, first : first + W_out]
                for i in range(K_h):
                    row = dx[n, first * K_h * K_w + i * W :]
                    for q in range(W_out):
                        share, holder = g[q], won[q]
                        for j in range(K_w):
                            row[np.uintp(q * K_w + j)] = share if holder == taps(i * K_w + j) else zero

    return forward, backward, forward_tiled, backward_tiled
