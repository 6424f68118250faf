"""The loops of average pooling over contiguous planes: x (N·C, H·W) and y (N·C, H_out·W_out).

Every sum is taken in float32 at least and rounded once. `n` (H_out·W_out,) says by how much each is divided.
"""

import numpy as np

from plusx.ops.bfloat16 import narrow, wide
from plusx.ops.compiling import compiled
from plusx.ops.lanes import EIGHT_LANES, broadcast, load, store
from plusx.ops.parts import in_parts
from plusx.ops.pooling.average_loops import take_means
from plusx.ops.pooling.reach import UNROLLED
from plusx.ops.pooling.squares import ROOM, strip, strip_height, turn, turn_back


@compiled
def _forward(part, x, size, geometry, K, inside, n, y):
    """Turn eight planes over, some rows at a time: they are a picture of eight channels then."""
    _, first, end = part
    (H, W), (H_out, W_out) = size, geometry[3]
    together, reached = strip_height(size, geometry, K)
    block, means = np.zeros(8 * W * reached, n.dtype), np.zeros(8 * W_out * together, n.dtype)
    for plane in range(first, end, 8):
        for begin in range(0, H_out, together):
            rows, (top, bottom) = strip(begin, together, H, geometry, K)
            turn(x, plane, end - 1, top * W, (bottom - top) * W, block)
            take_means(block, 0, 8, EIGHT_LANES, W, top, geometry, K, inside, rows, n, means, 0, 0)
            turn_back(means, y, plane, end - 1, begin * W_out, (rows[1] - begin) * W_out)


@compiled
def forward(count, *arguments):
    """Fill y."""
    in_parts(_forward, count, arguments)


@compiled
def _backward(part, grad, size, geometry, K, inside, n, dx):
    """Turn eight gradients over; for some rows of pixels at a time, each window adds its share to its own."""
    _, first, end = part
    K_h, K_w = len(K[0]), len(K[1])
    (H, W), (s_h, s_w), (start_h, start_w), _, (H_out, W_out) = size, *geometry
    up, low, left, right = inside
    together = max(1, min(H, ROOM // W))
    pixels = np.zeros(8 * W * together, n.dtype)
    gradients = np.zeros(8 * W_out * min(H_out, (together + K_h - 2) // s_h + 1), n.dtype)
    for plane in range(first, end, 8):
        for begin in range(0, H, together):
            behind = min(begin + together, H)
            top = max(0, (begin + start_h - K_h) // s_h + 1)
            bottom = max(top, min(H_out, (behind - 1 + start_h) // s_h + 1))
            turn(grad, plane, end - 1, top * W_out, (bottom - top) * W_out, gradients)
            pixels[:] = 0
            for p in range(top, bottom):
                row = p * s_h - start_h - begin
                from_tap, to_tap = max(up[p], -row), min(low[p], behind - begin - row)
                for q in range(W_out):
                    corner, window = row * W + q * s_w - start_w, p * W_out + q
                    whole = load(gradients, 8 * (window - top * W_out), EIGHT_LANES)
                    share = whole / broadcast(n, window, EIGHT_LANES)
                    if K_h * K_w <= UNROLLED and to_tap - from_tap == K_h and right[q] - left[q] == K_w:
                        for i in range(K_h):
                            for j in range(K_w):
                                at = 8 * (corner + i * W + j)
                                store(pixels, at, load(pixels, at, EIGHT_LANES) + share)
                    else:
                        for i in range(from_tap, to_tap):
                            for j in range(left[q], right[q]):
                                at = 8 * (corner + i * W + j)
                                store(pixels, at, load(pixels, at, EIGHT_LANES) + share)
            turn_back(pixels, dx, plane, end - 1, begin * W, (behind - begin) * W)


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
