"""The loops of maximum pooling, compiled for each size of window.

With K known to the compiler, a window is a fixed row of comparisons: the running maximum and its holder stay
in registers, for eight or sixteen channels at a time, and each number is read once and written once.

Arrays are the tensors' own memory: x (N, H·W·C) and y, winner (N, H_out·W_out·C), channels-last; a contiguous
picture is the same with each channel as a picture of its own, C = 1, and has its own, scalar way.
"""

import functools
from typing import Any

import numpy as np

from plusx.ops.loops import UNROLLED, compiled, inlined, narrow, wide, windows_over


@functools.lru_cache
def max_loops(K_h: int, K_w: int, taps: type[np.unsignedinteger[Any]]) -> tuple[Any, Any, Any, Any]:
    """Return (forward, backward) for channels-last pictures and (forward, backward) for planes.

    Args:
        K_h: rows of the window.
        K_w: columns of the window.
        taps: the type of `winner`, wide enough for K_h · K_w.
    """
    unrolled = K_h * K_w <= UNROLLED

    @inlined
    def side_by_side(size, geometry):
        """Whether the windows tile the picture, so that each pixel has one."""
        (H, W), (stride, start, dilation, (H_out, W_out)) = size, geometry
        tiled = stride == (K_h, K_w) and start == (0, 0) and dilation == (1, 1)
        return tiled and H_out * K_h == H and W_out * K_w == W

    @inlined
    def whole(w, down, right, best, won):
        for k in range(len(best)):
            largest, holder = w[k], np.int32(0)
            for i in range(K_h):
                for j in range(K_w):
                    new = w[np.uintp(i) * down + np.uintp(j) * right + np.uintp(k)]
                    larger = (wide(new) > wide(largest)) | (wide(new) != wide(new))
                    largest = new if larger else largest
                    holder = np.int32(i * K_w + j) if larger else holder
            best[k] = largest
            won[k] = taps(holder)

    @inlined
    def take_larger(new_pixel, best, won, tap):
        for k in range(len(best)):
            new, old, holder = new_pixel[k], best[k], won[k]
            larger = (wide(new) > wide(old)) | (wide(new) != wide(new))
            best[k] = new if larger else old
            won[k] = tap if larger else holder

    @compiled
    def forward(x, C, size, geometry, first_taps, lowest, y, winner):
        (H, W), (s_h, s_w), (start_h, start_w), (d_h, d_w), (H_out, W_out) = size, *geometry
        down, right = d_h * W * C, d_w * C
        for n in range(len(x)):
            for p in range(H_out):
                for q in range(W_out):
                    top, left, at = p * s_h - start_h, q * s_w - start_w, (p * W_out + q) * C
                    best, won = y[n, at : at + C], winner[n, at : at + C]
                    fits = top >= 0 and top + (K_h - 1) * d_h < H and left >= 0 and left + (K_w - 1) * d_w < W
                    if unrolled and fits:
                        begin = (top * W + left) * C
                        whole(x[n, begin:], np.uintp(down), np.uintp(right), best, won)
                        continue
                    best[:] = lowest
                    won[:] = first_taps[p, q]
                    for i in range(K_h):
                        for j in range(K_w):
                            row, column = top + i * d_h, left + j * d_w
                            if 0 <= row < H and 0 <= column < W:
                                begin = (row * W + column) * C
                                take_larger(x[n, begin : begin + C], best, won, taps(i * K_w + j))

    @compiled
    def plane_forward(x, size, geometry, first_taps, lowest, y, winner):
        (H, W), (s_h, s_w), (start_h, start_w), (d_h, d_w), (H_out, W_out) = size, *geometry
        tiled = side_by_side(size, geometry)
        for n in range(len(x)):
            for p in range(H_out):
                if tiled:
                    rows = x[n, p * K_h * W : (p + 1) * K_h * W]
                    best, won = y[n, p * W_out : (p + 1) * W_out], winner[n, p * W_out : (p + 1) * W_out]
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
                    continue
                for q in range(W_out):
                    top, left = p * s_h - start_h, q * s_w - start_w
                    largest, holder = lowest, first_taps[p, q]
                    for i in range(K_h):
                        for j in range(K_w):
                            row, column = top + i * d_h, left + j * d_w
                            if 0 <= row < H and 0 <= column < W:
                                new = x[n, row * W + column]
                                larger = (wide(new) > wide(largest)) | (wide(new) != wide(new))
                                largest = new if larger else largest
                                holder = taps(i * K_w + j) if larger else holder
                    y[n, p * W_out + q] = largest
                    winner[n, p * W_out + q] = holder

    @inlined
    def take_one(grad, won, at, tap, dx):
        zero = dx.dtype.type(0)
        for k in range(len(dx)):
            g, holder = grad[at + np.uintp(k)], won[at + np.uintp(k)]
            dx[k] = g if holder == tap else zero

    @inlined
    def take_two(grad, won, at_a, at_b, tap_a, tap_b, dx):
        zero = dx.dtype.type(0)
        for k in range(len(dx)):
            a, b = grad[at_a + np.uintp(k)], grad[at_b + np.uintp(k)]
            holds_a, holds_b = won[at_a + np.uintp(k)], won[at_b + np.uintp(k)]
            a = a if holds_a == tap_a else zero
            b = b if holds_b == tap_b else zero
            dx[k] = narrow(wide(a) + wide(b), a)

    @inlined
    def add_where_won(grad, won, at, tap, dx):
        for k in range(len(dx)):
            new, old, holder = grad[at + np.uintp(k)], dx[k], won[at + np.uintp(k)]
            both = narrow(wide(old) + wide(new), old)
            dx[k] = both if holder == tap else old

    @compiled
    def backward(grad, C, size, geometry, winner, dx):
        (H, W), (s_h, s_w), (start_h, start_w), (d_h, d_w), (H_out, W_out) = size, *geometry
        tiled = side_by_side(size, geometry)
        of_row, row_windows, row_taps = windows_over(H, K_h, s_h, start_h, d_h, H_out)
        of_column, column_windows, column_taps = windows_over(W, K_w, s_w, start_w, d_w, W_out)
        first_at, first_tap = np.uintp(0), taps(0)
        for n in range(len(dx)):
            if tiled:
                for p in range(H_out):
                    for q in range(W_out):
                        at = np.uintp((p * W_out + q) * C)
                        for i in range(K_h):
                            for j in range(K_w):
                                begin = ((p * K_h + i) * W + q * K_w + j) * C
                                pixel = dx[n, begin : begin + C]
                                take_one(grad[n], winner[n], at, taps(i * K_w + j), pixel)
                continue
            for row in range(H):
                for column in range(W):
                    begin, found = (row * W + column) * C, 0
                    pixel = dx[n, begin : begin + C]
                    for a in range(of_row[row]):
                        for b in range(of_column[column]):
                            window = row_windows[row, a] * W_out + column_windows[column, b]
                            tap = taps(row_taps[row, a] * K_w + column_taps[column, b])
                            at = np.uintp(window * C)
                            found += 1
                            if found == 1:
                                first_at, first_tap = at, tap
                            elif found == 2:
                                take_two(grad[n], winner[n], first_at, at, first_tap, tap, pixel)
                            else:
                                add_where_won(grad[n], winner[n], at, tap, pixel)
                    if found == 1:
                        take_one(grad[n], winner[n], first_at, first_tap, pixel)
                    elif found == 0:
                        pixel[:] = 0

    @compiled
    def plane_backward(grad, size, geometry, winner, dx):
        (_, W), (s_h, s_w), (start_h, start_w), (d_h, d_w), (H_out, W_out) = size, *geometry
        if side_by_side(size, geometry):
            zero = dx.dtype.type(0)
            for n in range(len(dx)):
                for p in range(H_out):
                    g, won = grad[n, p * W_out : (p + 1) * W_out], winner[n, p * W_out : (p + 1) * W_out]
                    for i in range(K_h):
                        row = dx[n, (p * K_h + i) * W : (p * K_h + i + 1) * W]
                        for q in range(W_out):
                            share, holder = g[q], won[q]
                            for j in range(K_w):
                                row[np.uintp(q * K_w + j)] = share if holder == taps(i * K_w + j) else zero
            return
        offsets = np.empty(K_h * K_w, np.int64)
        for i in range(K_h):
            for j in range(K_w):
                offsets[i * K_w + j] = i * d_h * W + j * d_w
        for n in range(len(dx)):
            dx[n] = 0
            for p in range(H_out):
                begin = (p * s_h - start_h) * W - start_w
                for q in range(W_out):
                    at = np.uintp(begin + q * s_w + offsets[winner[n, p * W_out + q]])
                    dx[n, at] = narrow(wide(dx[n, at]) + wide(grad[n, p * W_out + q]), dx[n, at])

    return forward, backward, plane_forward, plane_backward
