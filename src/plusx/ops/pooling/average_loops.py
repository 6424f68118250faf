"""The loops of average pooling over channels-last pictures, as `plusx.ops.pooling.maximum_loops`.

Every sum is taken in float32 at least and rounded once. `n` (H_out·W_out,) says by how much each is divided.
"""

import numpy as np

from plusx.ops.bfloat16 import narrow, wide
from plusx.ops.compiling import compiled, inlined
from plusx.ops.parts import in_parts
from plusx.ops.pooling.reach import UNROLLED, windows_over


@inlined
def _whole(x, picture, begin, down, right, C, K_h, K_w, n, y, at):
    for k in range(C):
        total = n - n
        for i in range(K_h):
            for j in range(K_w):
                total += wide(x[picture, np.uintp(begin + i * down + j * right + k)])
        place = np.uintp(at + k)
        y[picture, place] = narrow(total / n, y[picture, place])


@inlined
def _add_two(a, b, total):
    for k in range(len(total)):
        total[k] += wide(a[k]) + wide(b[k])


@inlined
def _give_alone(grad, n, dx):
    for k in range(len(dx)):
        dx[k] = narrow(wide(grad[k]) / n, grad[k])


@inlined
def _give_two(grad_a, grad_b, n_a, n_b, dx):
    for k in range(len(dx)):
        a, b = wide(grad_a[k]) / n_a, wide(grad_b[k]) / n_b
        dx[k] = narrow(a + b, grad_a[k])


@inlined
def _add_shares(grad_a, grad_b, n_a, n_b, total):
    for k in range(len(total)):
        total[k] += wide(grad_a[k]) / n_a + wide(grad_b[k]) / n_b


@compiled
def _forward(part, x, C, size, geometry, K, n, y):
    _, begin, end = part
    K_h, K_w = len(K[0]), len(K[1])
    (H, W), (s_h, s_w), (start_h, start_w), _, (H_out, W_out) = size, *geometry
    total, nothing = np.empty(C, n.dtype), np.zeros(C, x.dtype)
    places = np.zeros(K_h * K_w + 1, np.int64)
    for picture in range(begin, end):
        for p in range(H_out):
            for q in range(W_out):
                top, left, window = p * s_h - start_h, q * s_w - start_w, p * W_out + q
                fits = top >= 0 and top + K_h <= H and left >= 0 and left + K_w <= W
                if K_h * K_w <= UNROLLED and fits:
                    corner = (top * W + left) * C
                    _whole(x, picture, corner, W * C, C, C, K_h, K_w, n[window], y, window * C)
                    continue
                found = 0
                for row in range(max(0, top), min(H, top + K_h)):
                    for column in range(max(0, left), min(W, left + K_w)):
                        places[found] = (row * W + column) * C
                        found += 1
                total[:] = 0
                for m in range(0, found, 2):
                    first, second = places[m], places[m + 1]
                    a = x[picture, first : first + C]
                    b = x[picture, second : second + C] if m + 1 < found else nothing
                    _add_two(a, b, total)
                out = y[picture, window * C : (window + 1) * C]
                for k in range(C):
                    out[k] = narrow(total[k] / n[window], out[k])


@compiled
def forward(count, *arguments):
    """Fill y."""
    in_parts(_forward, count, arguments)


@compiled
def _backward(part, grad, C, size, geometry, K, n, dx):
    _, begin, end = part
    K_h, K_w = len(K[0]), len(K[1])
    (H, W), (s_h, s_w), (start_h, start_w), _, (H_out, W_out) = size, *geometry
    of_row, row_windows, _ = windows_over(H, K_h, s_h, start_h, 1, H_out)
    of_column, column_windows, _ = windows_over(W, K_w, s_w, start_w, 1, W_out)
    windows = np.zeros(K_h * K_w + 1, np.int64)
    total, nothing = np.empty(C, n.dtype), np.zeros(C, grad.dtype)
    for picture in range(begin, end):
        for row in range(H):
            for column in range(W):
                found = 0
                for a in range(of_row[row]):
                    for b in range(of_column[column]):
                        windows[found] = row_windows[row, a] * W_out + column_windows[column, b]
                        found += 1
                at = (row * W + column) * C
                pixel = dx[picture, at : at + C]
                if found == 0:
                    pixel[:] = 0
                    continue
                first, second = windows[0], windows[1]
                a = grad[picture, first * C : (first + 1) * C]
                if found == 1:
                    _give_alone(a, n[first], pixel)
                    continue
                b = grad[picture, second * C : (second + 1) * C]
                if found == 2:
                    _give_two(a, b, n[first], n[second], pixel)
                    continue
                total[:] = 0
                for m in range(0, found, 2):
                    first, second = windows[m], windows[m + 1]
                    a = grad[picture, first * C : (first + 1) * C]
                    b = grad[picture, second * C : (second + 1) * C] if m + 1 < found else nothing
                    _add_shares(a, b, n[first], n[second], total)
                for k in range(C):
                    pixel[k] = narrow(total[k], pixel[k])


@compiled
def backward(count, *arguments):
    """Fill dx."""
    in_parts(_backward, count, arguments)
