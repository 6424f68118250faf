"""The loops of average pooling, compiled for each size of window; laid out as `plusx.ops.maximum_loops`."""

import functools
from typing import Any

import numpy as np

from plusx.ops.loops import compiled, inlined, narrow, wide

UNROLLED = 9  # taps; a larger window is walked tap by tap


@functools.lru_cache
def average_loops(K_h: int, K_w: int) -> tuple[Any, Any]:
    """Return forward and backward for windows of K_h × K_w pixels; `n` (H_out, W_out) divides each sum."""
    unrolled = K_h * K_w <= UNROLLED

    @inlined
    def whole(w, down, right, n, y):
        for k in range(len(y)):
            total = n - n
            for i in range(K_h):
                for j in range(K_w):
                    total += wide(w[np.uintp(i) * down + np.uintp(j) * right + np.uintp(k)])
            y[k] = narrow(total / n, y[k])

    @compiled
    def forward(x, C, size, geometry, n, y):
        (H, W), (s_h, s_w), (start_h, start_w), _, (H_out, W_out) = size, *geometry
        total = np.empty(C, n.dtype)
        for picture in range(len(x)):
            for p in range(H_out):
                for q in range(W_out):
                    top, left, at = p * s_h - start_h, q * s_w - start_w, (p * W_out + q) * C
                    out = y[picture, at : at + C]
                    fits = top >= 0 and top + K_h <= H and left >= 0 and left + K_w <= W
                    if unrolled and fits:
                        begin = (top * W + left) * C
                        whole(x[picture, begin:], np.uintp(W * C), np.uintp(C), n[p, q], out)
                        continue
                    total[:] = 0
                    for row in range(max(0, top), min(H, top + K_h)):
                        for column in range(max(0, left), min(W, left + K_w)):
                            begin = (row * W + column) * C
                            pixel = x[picture, begin : begin + C]
                            for k in range(C):
                                total[k] += wide(pixel[k])
                    for k in range(C):
                        out[k] = narrow(total[k] / n[p, q], out[k])

    @compiled
    def backward(grad, C, size, geometry, n, dx):
        (H, W), (s_h, s_w), (start_h, start_w), _, (H_out, W_out) = size, *geometry
        share = np.empty(C, n.dtype)
        for picture in range(len(dx)):
            filled = 0
            for p in range(H_out):
                top = p * s_h - start_h
                # Rows are emptied just before the first window reaches them: so they are in the cache.
                reached = H if p == H_out - 1 else max(filled, min(H, top + K_h))
                dx[picture, filled * W * C : reached * W * C] = 0
                filled = reached
                for q in range(W_out):
                    left, at = q * s_w - start_w, (p * W_out + q) * C
                    g = grad[picture, at : at + C]
                    for k in range(C):
                        share[k] = wide(g[k]) / n[p, q]
                    for row in range(max(0, top), min(H, top + K_h)):
                        for column in range(max(0, left), min(W, left + K_w)):
                            begin = (row * W + column) * C
                            pixel = dx[picture, begin : begin + C]
                            for k in range(C):
                                before = pixel[k]
                                pixel[k] = narrow(wide(before) + share[k], before)

    return forward, backward
