"""The loops of maximum pooling, compiled for each size of window.

With K known to the compiler, a window is a fixed row of comparisons: the running maximum and its holder stay
in registers, for eight or sixteen channels at a time, and each number is read once and written once.

Arrays are the tensors' own memory: x (N, H·W·C) and y, winner (N, H_out·W_out·C), channels-last; a contiguous
picture is the same with each channel as a picture of its own, C = 1, and has its own, scalar way.
"""

import functools
from typing import Any

import numpy as np

from plusx.ops.loops import compiled, inlined, narrow, wide

UNROLLED = 9  # taps; a larger window is walked tap by tap


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
        for n in range(len(x)):
            for p in range(H_out):
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
    def give_alone(grad, won, dx, down, right):
        zero = dx.dtype.type(0)
        for k in range(len(grad)):
            g, holder = grad[k], won[k]
            for i in range(K_h):
                for j in range(K_w):
                    mine = holder == taps(i * K_w + j)
                    dx[np.uintp(i) * down + np.uintp(j) * right + np.uintp(k)] = g if mine else zero

    @inlined
    def add_where_won(grad, won, tap, dx):
        for k in range(len(grad)):
            new, old, holder = grad[k], dx[k], won[k]
            both = narrow(wide(old) + wide(new), old)
            dx[k] = both if holder == tap else old

    @compiled
    def backward(grad, C, size, geometry, winner, dx):
        (H, W), (s_h, s_w), (start_h, start_w), (d_h, d_w), (H_out, W_out) = size, *geometry
        tiled = (s_h, s_w) == (K_h, K_w) == (H // H_out, W // W_out) and (start_h, start_w) == (0, 0)
        tiled = unrolled and tiled and (d_h, d_w) == (1, 1) and H % K_h == 0 and W % K_w == 0
        for n in range(len(dx)):
            filled = 0
            for p in range(H_out):
                top = p * s_h - start_h
                if not tiled:
                    # Rows are emptied just before the first window reaches them: so they are in the cache.
                    reached = H if p == H_out - 1 else max(filled, min(H, top + (K_h - 1) * d_h + 1))
                    dx[n, filled * W * C : reached * W * C] = 0
                    filled = reached
                for q in range(W_out):
                    left, at = q * s_w - start_w, (p * W_out + q) * C
                    g, won = grad[n, at : at + C], winner[n, at : at + C]
                    if tiled:
                        give_alone(g, won, dx[n, (top * W + left) * C :], np.uintp(W * C), np.uintp(C))
                        continue
                    for i in range(K_h):
                        for j in range(K_w):
                            row, column = top + i * d_h, left + j * d_w
                            if 0 <= row < H and 0 <= column < W:
                                begin = (row * W + column) * C
                                add_where_won(g, won, taps(i * K_w + j), dx[n, begin : begin + C])

    @compiled
    def plane_backward(grad, size, geometry, winner, dx):
        (_, W), (s_h, s_w), (start_h, start_w), (d_h, d_w), (H_out, W_out) = size, *geometry
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
