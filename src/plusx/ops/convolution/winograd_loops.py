"""The transforms of Winograd's convolution, compiled: pictures to transformed tiles and back.

A picture is cut into tiles of 4×4 output pixels; each needs 6×6 input pixels, two more than its own. The
one-dimensional transforms are small matrices; applied to columns and then to rows they give `Bᵀ d B`,
`Aᵀ m A` and `A g Aᵀ` (see `plusx.ops.convolution.winograd`):

         4  0 -5  0  1  0          1  1  1  1  1  0
         0 -4 -4  1  1  0     Aᵀ = 0  1 -1  2 -2  0
    Bᵀ = 0  4 -4 -1  1  0          0  1  1  4  4  0
         0 -2 -1  2  1  0          0  1 -1  8 -8  1
         0  2 -1 -2  1  0
         0  4  0 -5  0  1

Everything runs over channels that lie side by side, so the processor takes eight or sixteen at a time. Arrays
are float32 and flat in the pixels: pictures (N, H, W·C), tiles (36, tiles·C), picture by picture, row by row.
"""

import numpy as np

from plusx.ops.loops import compiled, inlined

# A float32 times a Python number would become a float64.
TWO, FOUR, FIVE, EIGHT = (np.float32(n) for n in (2, 4, 5, 8))


@inlined
def _input_transform(a, b, c, d, e, f, u, v, w, x, y, z):
    """out = Bᵀ (a, b, c, d, e, f), for vectors. One loop for each result: so the compiler vectorises it."""
    n = len(a)
    for k in range(n):
        u[k] = FOUR * a[k] - FIVE * c[k] + e[k]
    for k in range(n):
        v[k] = (e[k] - FOUR * c[k]) + (d[k] - FOUR * b[k])
    for k in range(n):
        w[k] = (e[k] - FOUR * c[k]) - (d[k] - FOUR * b[k])
    for k in range(n):
        x[k] = (e[k] - c[k]) + TWO * (d[k] - b[k])
    for k in range(n):
        y[k] = (e[k] - c[k]) - TWO * (d[k] - b[k])
    for k in range(n):
        z[k] = FOUR * b[k] - FIVE * d[k] + f[k]


@inlined
def _gradient_transform(a, b, c, d, u, v, w, x, y, z):
    """out = A (a, b, c, d), for vectors."""
    n = len(a)
    for k in range(n):
        u[k] = a[k]
    for k in range(n):
        v[k] = (a[k] + c[k]) + (b[k] + d[k])
    for k in range(n):
        w[k] = (a[k] + c[k]) - (b[k] + d[k])
    for k in range(n):
        x[k] = (a[k] + FOUR * c[k]) + TWO * (b[k] + FOUR * d[k])
    for k in range(n):
        y[k] = (a[k] + FOUR * c[k]) - TWO * (b[k] + FOUR * d[k])
    for k in range(n):
        z[k] = d[k]


@inlined
def _output_transform(a, b, c, d, e, f, u, v, w, x):
    """out = Aᵀ (a, b, c, d, e, f), for vectors."""
    n = len(a)
    for k in range(n):
        u[k] = a[k] + (b[k] + c[k]) + (d[k] + e[k])
    for k in range(n):
        v[k] = (b[k] - c[k]) + TWO * (d[k] - e[k])
    for k in range(n):
        w[k] = (b[k] + c[k]) + FOUR * (d[k] + e[k])
    for k in range(n):
        x[k] = (b[k] - c[k]) + EIGHT * (d[k] - e[k]) + f[k]


@compiled
def input_tiles(x, C, top, left, rows, columns, tiles):
    """tiles = Bᵀ d B for rows × columns tiles d a picture; `top` and `left` are the padding there."""
    pictures, height, width = x.shape
    begin = left * C
    end = min(begin + width, (4 * columns + 2) * C)
    zeros = np.zeros(width, x.dtype)
    half = np.zeros((6, (4 * columns + 2) * C), x.dtype)  # left and right of the picture it stays zero
    at = 0
    for n in range(pictures):
        for row in range(rows):
            y = 4 * row - top
            _input_transform(
                x[n, y, : end - begin] if 0 <= y < height else zeros[: end - begin],
                x[n, y + 1, : end - begin] if 0 <= y + 1 < height else zeros[: end - begin],
                x[n, y + 2, : end - begin] if 0 <= y + 2 < height else zeros[: end - begin],
                x[n, y + 3, : end - begin] if 0 <= y + 3 < height else zeros[: end - begin],
                x[n, y + 4, : end - begin] if 0 <= y + 4 < height else zeros[: end - begin],
                x[n, y + 5, : end - begin] if 0 <= y + 5 < height else zeros[: end - begin],
                half[0, begin:end],
                half[1, begin:end],
                half[2, begin:end],
                half[3, begin:end],
                half[4, begin:end],
                half[5, begin:end],
            )
            for column in range(columns):
                for i in range(6):
                    p = 4 * column * C
                    _input_transform(
                        half[i, p : p + C],
                        half[i, p + C : p + 2 * C],
                        half[i, p + 2 * C : p + 3 * C],
                        half[i, p + 3 * C : p + 4 * C],
                        half[i, p + 4 * C : p + 5 * C],
                        half[i, p + 5 * C : p + 6 * C],
                        tiles[6 * i, at : at + C],
                        tiles[6 * i + 1, at : at + C],
                        tiles[6 * i + 2, at : at + C],
                        tiles[6 * i + 3, at : at + C],
                        tiles[6 * i + 4, at : at + C],
                        tiles[6 * i + 5, at : at + C],
                    )
                at += C


@compiled
def gradient_tiles(grad, C, rows, columns, tiles):
    """tiles = A g Aᵀ for rows × columns tiles g a picture, zero where they reach over its edge."""
    pictures, height, width = grad.shape
    zeros = np.zeros(width, grad.dtype)
    half = np.zeros((6, 4 * columns * C), grad.dtype)
    at = 0
    for n in range(pictures):
        for row in range(rows):
            y = 4 * row
            _gradient_transform(
                grad[n, y],
                grad[n, y + 1] if y + 1 < height else zeros,
                grad[n, y + 2] if y + 2 < height else zeros,
                grad[n, y + 3] if y + 3 < height else zeros,
                half[0, :width],
                half[1, :width],
                half[2, :width],
                half[3, :width],
                half[4, :width],
                half[5, :width],
            )
            for column in range(columns):
                for i in range(6):
                    p = 4 * column * C
                    _gradient_transform(
                        half[i, p : p + C],
                        half[i, p + C : p + 2 * C],
                        half[i, p + 2 * C : p + 3 * C],
                        half[i, p + 3 * C : p + 4 * C],
                        tiles[6 * i, at : at + C],
                        tiles[6 * i + 1, at : at + C],
                        tiles[6 * i + 2, at : at + C],
                        tiles[6 * i + 3, at : at + C],
                        tiles[6 * i + 4, at : at + C],
                        tiles[6 * i + 5, at : at + C],
                    )
                at += C


@compiled
def output_pixels(tiles, C, rows, columns, bias, y):
    """y = Aᵀ m A + bias for rows × columns tiles m a picture, cut at its edge."""
    pictures, height, width = y.shape
    length = columns * C
    half = np.empty((6, 4, length), y.dtype)
    line = np.empty((4, C), y.dtype)
    at = 0
    for n in range(pictures):
        for row in range(rows):
            for j in range(6):
                _output_transform(
                    tiles[j, at : at + length],
                    tiles[6 + j, at : at + length],
                    tiles[12 + j, at : at + length],
                    tiles[18 + j, at : at + length],
                    tiles[24 + j, at : at + length],
                    tiles[30 + j, at : at + length],
                    half[j, 0],
                    half[j, 1],
                    half[j, 2],
                    half[j, 3],
                )
            at += length
            for i in range(min(4, height - 4 * row)):
                for column in range(columns):
                    p = column * C
                    _output_transform(
                        half[0, i, p : p + C],
                        half[1, i, p : p + C],
                        half[2, i, p : p + C],
                        half[3, i, p : p + C],
                        half[4, i, p : p + C],
                        half[5, i, p : p + C],
                        line[0],
                        line[1],
                        line[2],
                        line[3],
                    )
                    for j in range(min(4, width // C - 4 * column)):
                        first = (4 * column + j) * C
                        pixel = y[n, 4 * row + i, first : first + C]
                        for k in range(C):
                            pixel[k] = line[j, k] + bias[k]
