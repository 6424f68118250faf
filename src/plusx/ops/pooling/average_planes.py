"""The loops of average pooling over contiguous planes: x (N·C, H·W) and y (N·C, H_out·W_out).

Every sum is taken in float32 at least and rounded once. `n` (H_out·W_out,) says by how much each is divided.
"""

import numpy as np

from plusx.ops.bfloat16 import narrow, wide
from plusx.ops.compiling import compiled, inlined
from plusx.ops.parts import in_parts
from plusx.ops.pooling.planes import take_apart


@inlined
def _add(terms, total):
    for t in range(len(total)):
        total[t] += terms[t]


@compiled
def _forward(part, x, planes, n, y):
    """Take the planes apart; each tap of all windows together is one long row to add."""
    _, begin, end = part
    _, windows, shifts, step, together, room = planes
    field, total = np.zeros(room, n.dtype), np.empty(together * step, n.dtype)
    for first in range(begin, end, together):
        count = min(together, end - first)
        take_apart(x[first : first + count], planes, field)
        total[:] = 0
        for tap in range(len(shifts)):
            _add(field[shifts[tap] :], total)
        for g in range(count):
            for k in range(len(windows)):
                mean = total[np.uintp(windows[k] + g * step)] / n[k]
                y[first + g, k] = narrow(mean, y[first + g, k])


@compiled
def forward(count, *arguments):
    """Fill y."""
    in_parts(_forward, count, arguments)


@compiled
def _backward(part, grad, planes, n, dx):
    """The same way back: spread the shares tap by tap, then put the planes together."""
    _, begin, end = part
    pixels, windows, shifts, step, together, room = planes
    field, share = np.empty(room, n.dtype), np.zeros(together * step, n.dtype)
    for first in range(begin, end, together):
        count = min(together, end - first)
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


@compiled
def backward(count, *arguments):
    """Fill dx."""
    in_parts(_backward, count, arguments)


@compiled
def _forward_tiled(part, x, W, K, n, y):
    _, begin, end = part
    K_h, K_w = len(K[0]), len(K[1])
    W_out = W // K_w
    for plane in range(begin, end):
        for first in range(0, y.shape[1], W_out):
            rows, means = x[plane, first * K_h * K_w :], y[plane, first : first + W_out]
            for q in range(W_out):
                total = n - n
                for i in range(K_h):
                    for j in range(K_w):
                        total += wide(rows[np.uintp(i * W) + np.uintp(q * K_w + j)])
                means[q] = narrow(total / n, means[q])


@compiled
def forward_tiled(count, *arguments):
    """Fill y; the windows tile the planes, which need no field."""
    in_parts(_forward_tiled, count, arguments)


@compiled
def _backward_tiled(part, grad, W, K, n, dx):
    _, begin, end = part
    K_h, K_w = len(K[0]), len(K[1])
    W_out = W // K_w
    for plane in range(begin, end):
        for first in range(0, grad.shape[1], W_out):
            g, rows = grad[plane, first : first + W_out], dx[plane, first * K_h * K_w :]
            for q in range(W_out):
                share = narrow(wide(g[q]) / n, g[q])
                for i in range(K_h):
                    for j in range(K_w):
                        rows[np.uintp(i * W) + np.uintp(q * K_w + j)] = share


@compiled
def backward_tiled(count, *arguments):
    """Fill dx; the windows tile the planes."""
    in_parts(_backward_tiled, count, arguments)
