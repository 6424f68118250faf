"""The loops of average pooling, compiled for each size of window; laid out as `plusx.ops.maximum_loops`.

Every sum is taken in float32 at least and rounded once. `n` (H_out, W_out) says by how much each is divided.
"""

import functools
from typing import Any

import numpy as np

from plusx.ops.loops import UNROLLED, compiled, inlined, narrow, wide, windows_over


@functools.lru_cache
def average_loops(K_h: int, K_w: int) -> tuple[Any, Any, Any, Any]:
    """Return (forward, backward) for channels-last pictures and (forward, backward) for planes."""
    unrolled = K_h * K_w <= UNROLLED

    @inlined
    def side_by_side(size, geometry):
        """Whether the windows tile the picture, so that each pixel has one."""
        (H, W), (stride, start, _, (H_out, W_out)) = size, geometry
        return stride == (K_h, K_w) and start == (0, 0) and H_out * K_h == H and W_out * K_w == W

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

    @inlined
    def give_alone(grad, n, dx, down, right):
        for k in range(len(grad)):
            share = narrow(wide(grad[k]) / n, grad[k])
            for i in range(K_h):
                for j in range(K_w):
                    dx[np.uintp(i) * down + np.uintp(j) * right + np.uintp(k)] = share

    @compiled
    def backward(grad, C, size, geometry, n, dx):
        (H, W), (s_h, s_w), (start_h, start_w), _, (H_out, W_out) = size, *geometry
        tiled = side_by_side(size, geometry)
        of_row, row_windows, _ = windows_over(H, K_h, s_h, start_h, 1, H_out)
        of_column, column_windows, _ = windows_over(W, K_w, s_w, start_w, 1, W_out)
        total = np.empty(C, n.dtype)
        for picture in range(len(dx)):
            if tiled:
                for p in range(H_out):
                    for q in range(W_out):
                        at, begin = (p * W_out + q) * C, (p * K_h * W + q * K_w) * C
                        pixels = dx[picture, begin:]
                        give_alone(grad[picture, at : at + C], n[p, q], pixels, np.uintp(W * C), np.uintp(C))
                continue
            for row in range(H):
                for column in range(W):
                    total[:] = 0
                    for a in range(of_row[row]):
                        for b in range(of_column[column]):
                            p, q = row_windows[row, a], column_windows[column, b]
                            at, count = (p * W_out + q) * C, n[p, q]
                            g = grad[picture, at : at + C]
                            for k in range(C):
                                total[k] += wide(g[k]) / count
                    begin = (row * W + column) * C
                    pixel = dx[picture, begin : begin + C]
                    for k in range(C):
                        pixel[k] = narrow(total[k], pixel[k])

    @compiled
    def plane_forward(x, size, geometry, n, y):
        (H, W), (s_h, s_w), (start_h, start_w), _, (H_out, W_out) = size, *geometry
        tiled = side_by_side(size, geometry)
        for plane in range(len(x)):
            for p in range(H_out):
                out = y[plane, p * W_out : (p + 1) * W_out]
                if tiled:
                    rows, count = x[plane, p * K_h * W : (p + 1) * K_h * W], n[0, 0]
                    for q in range(W_out):
                        total = count - count
                        for i in range(K_h):
                            for j in range(K_w):
                                total += wide(rows[np.uintp(i * W) + np.uintp(q * K_w + j)])
                        out[q] = narrow(total / count, out[q])
                    continue
                for q in range(W_out):
                    top, left = p * s_h - start_h, q * s_w - start_w
                    total = n[p, q] - n[p, q]
                    for row in range(max(0, top), min(H, top + K_h)):
                        for column in range(max(0, left), min(W, left + K_w)):
                            total += wide(x[plane, row * W + column])
                    out[q] = narrow(total / n[p, q], out[q])

    @compiled
    def plane_backward(grad, size, geometry, n, dx):
        (H, W), (s_h, s_w), (start_h, start_w), _, (H_out, W_out) = size, *geometry
        tiled = side_by_side(size, geometry)
        of_row, row_windows, _ = windows_over(H, K_h, s_h, start_h, 1, H_out)
        of_column, column_windows, _ = windows_over(W, K_w, s_w, start_w, 1, W_out)
        for plane in range(len(dx)):
            if tiled:
                for p in range(H_out):
                    g, count = grad[plane, p * W_out : (p + 1) * W_out], n[0, 0]
                    rows = dx[plane, p * K_h * W : (p + 1) * K_h * W]
                    for q in range(W_out):
                        share = narrow(wide(g[q]) / count, g[q])
                        for i in range(K_h):
                            for j in range(K_w):
                                rows[np.uintp(i * W) + np.uintp(q * K_w + j)] = share
                continue
            for row in range(H):
                for column in range(W):
                    total = n[0, 0] - n[0, 0]
                    for a in range(of_row[row]):
                        for b in range(of_column[column]):
                            p, q = row_windows[row, a], column_windows[column, b]
                            total += wide(grad[plane, p * W_out + q]) / n[p, q]
                    at = row * W + column
                    dx[plane, at] = narrow(total, dx[plane, at])

    return forward, backward, plane_forward, plane_backward
