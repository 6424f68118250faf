"""The loops of average pooling over contiguous planes: x (N·C, H·W) and y (N·C, H_out·W_out).

Every sum is taken in float32 at least and rounded once. `n` (H_out·W_out,) says by how much each is divided.
"""

import functools
from typing import Any

import numpy as np

from plusx.ops.loops import compiled, inlined, narrow, wide
from plusx.ops.planes import take_apart


@inlined
def _add(terms, total):
    for t in range(len(total)):
        total[t] += terms[t]


@compiled
def forward(x, planes, n, y):
    """Take the planes apart; each tap of all windows together is one long row to add."""
    _, windows, shifts, step, together, room = planes
    field, total = np.zeros(room, n.dtype), np.empty(together * step, n.dtype)
    for first in range(0, len(x), together):
        count = min(together, len(x) - first)
        take_apart(x[first : first + count], planes, field)
        total[:] = 0
        for tap in range(len(shifts)):
            _add(field[shifts[tap] :], total)
        for g in range(count):
            for k in range(len(windows)):
                mean = total[np.uintp(windows[k] + g * step)] / n[k]
                y[first + g, k] = narrow(mean, y[first + g, k])


@compiled
def backward(grad, planes, n, dx):
    """The same way back: spread the shares tap by tap, then put the planes together."""
    pixels, windows, shifts, step, together, room = planes
    field, share = np.empty(room, n.dtype), np.zeros(together * step, n.dtype)
    for first in range(0, len(dx), together):
        count = min(together, len(dx) - first)
        for g in range(count):
            for k in range(len(windows)):
                share[np.uintp(windows[k] + g * step)] = wide(grad[first + g, k]) / n[k]
        field[:] = 0
        for tap in range(len(shifts)):
            _add(share, field[shifts[tap] : shifts[tap] + len(share)])
        for g in range(count):
            for k in range(len(pixels)):
                total = field[np.uintp(pixels[k] + g * step)]
                dx[first + g, k] = narrow(total, dx[first + g, k])


@functools.lru_cache
def tiled_loops(K_h: int, K_w: int) -> tuple[Any, Any]:
    """Return forward and backward for windows that tile the planes, which need no field."""

    @compiled
    def forward(x, W, n, y):
        W_out = W // K_w
        for plane in range(len(x)):
            for first in range(0, y.shape[1], W_out):
                rows, means = x[plane, first * K_h * K_w :], y[plane, first : first + W_out]
                for q in range(W_out):
                    total = n - n
                    for i in range(K_h):
                        for j in range(K_w):
                            total += wide(rows[np.uintp(i * W) + np.uintp(q * K_w + j)])
                    means[q] = narrow(total / n, means[q])

    @compiled
    def backward(grad, W, n, dx):
        W_out = W // K_w
        for plane in range(len(dx)):
            for first in range(0, grad.shape[1], W_out):
                g, rows = grad[plane, first : first + W_out], dx[plane, first * K_h * K_w :]
                for q in range(W_out):
                    share = narrow(wide(g[q]) / n, g[q])
                    for i in range(K_h):
                        for j in range(K_w):
                            rows[np.uintp(i * W) + np.uintp(q * K_w + j)] = share

    return forward, backward
