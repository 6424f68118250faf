"""The loops of Winograd's convolution: pictures to transformed tiles, 36 matrix products, and back.

A picture is cut into tiles of 4×4 output pixels; each needs 6×6 input pixels, two more than its own. The
one-dimensional transforms are small matrices; applied to columns and then to rows they give `Bᵀ d B`,
`Aᵀ m A` and `A g Aᵀ` (see `plusx.ops.convolution.winograd`):

         4  0 -5  0  1  0          1  1  1  1  1  0
         0 -4 -4  1  1  0     Aᵀ = 0  1 -1  2 -2  0
    Bᵀ = 0  4 -4 -1  1  0          0  1  1  4  4  0
         0 -2 -1  2  1  0          0  1 -1  8 -8  1
         0  2 -1 -2  1  0
         0  4  0 -5  0  1

Each thread takes some rows of tiles at a time from the picture to the result: what it has written, it finds
in its own cache. Everything is float32, flat in memory, and goes over channels eight at a time:

    pictures   (N, H·W·C)
    tiles      36 × (T, C), one matrix for each element of a tile: tile, channel
    panels     36 × (C / 16, T, 16), the same in columns of 16 channels (see `plusx.ops.convolution.panels`)
"""

import numpy as np

from plusx.ops.convolution.panels import PANEL, in_panels, products
from plusx.ops.lanes import load, noughts, store
from plusx.ops.loops import compiled, inlined
from plusx.ops.parts import in_parts

TILES = 48
"""So many at a time: enough to use a kernel for once it is in the cache, few enough to stay there."""
GAP = 16
"""Between tiles, and between matrices: a cache line. A power of two apart they would compete for the same."""
# A float32 times a Python number would become a float64.
TWO, FOUR, FIVE, EIGHT = (np.float32(n) for n in (2, 4, 5, 8))


@inlined
def _input_transform(a, b, c, d, e, f):
    """Bᵀ (a, b, c, d, e, f)."""
    far, near = e - FOUR * c, d - FOUR * b
    even, odd = e - c, TWO * (d - b)
    first, last = FOUR * a - FIVE * c + e, FOUR * b - FIVE * d + f
    return first, far + near, far - near, even + odd, even - odd, last


@inlined
def _gradient_transform(a, b, c, d):
    """A (a, b, c, d)."""
    even, odd = a + FOUR * c, TWO * (b + FOUR * d)
    return a, (a + c) + (b + d), (a + c) - (b + d), even + odd, even - odd, d


@inlined
def _output_transform(a, b, c, d, e, f):
    """Aᵀ (a, b, c, d, e, f)."""
    sums, wide_sums = b + c, d + e
    differences, wide_differences = b - c, d - e
    return (
        a + sums + wide_sums,
        differences + TWO * wide_differences,
        sums + FOUR * wide_sums,
        differences + EIGHT * wide_differences + f,
    )


@inlined
def _load_if(inside, x, index):
    return load(x, index) if inside else noughts()


@compiled
def _input_tiles(x, size, offset, n, row, columns, half, tiles, at, apart):
    """Write Bᵀ D B of a row of tiles to tile `at` and on; `half` has zeros left and right of the picture."""
    (height, width, C), (top, left) = size, offset
    line, padded = width * C, (4 * columns + 2) * C
    y = 4 * row - top
    start = (n * height + y) * line
    for p in range(0, min(line, padded - left * C), 8):
        found = _input_transform(
            _load_if(0 <= y < height, x, start + p),
            _load_if(0 <= y + 1 < height, x, start + line + p),
            _load_if(0 <= y + 2 < height, x, start + 2 * line + p),
            _load_if(0 <= y + 3 < height, x, start + 3 * line + p),
            _load_if(0 <= y + 4 < height, x, start + 4 * line + p),
            _load_if(0 <= y + 5 < height, x, start + 5 * line + p),
        )
        for i, lanes in enumerate(found):
            store(half, i * padded + left * C + p, lanes)
    for column in range(columns):
        for i in range(6):
            for c in range(0, C, 8):
                p = i * padded + 4 * column * C + c
                found = _input_transform(
                    load(half, p),
                    load(half, p + C),
                    load(half, p + 2 * C),
                    load(half, p + 3 * C),
                    load(half, p + 4 * C),
                    load(half, p + 5 * C),
                )
                for j, lanes in enumerate(found):
                    store(tiles, (6 * i + j) * apart + (at + column) * (C + GAP) + c, lanes)


@compiled
def _gradient_panels(grad, size, n, row, columns, half, panels, at, room, apart):
    """Write A G Aᵀ of a row of tiles to tile `at` and on; `half` has zeros right of the gradient."""
    height, width, C = size
    line, padded = width * C, 4 * columns * C
    y = 4 * row
    start = (n * height + y) * line
    for p in range(0, line, 8):
        found = _gradient_transform(
            load(grad, start + p),
            _load_if(y + 1 < height, grad, start + line + p),
            _load_if(y + 2 < height, grad, start + 2 * line + p),
            _load_if(y + 3 < height, grad, start + 3 * line + p),
        )
        for i, lanes in enumerate(found):
            store(half, i * padded + p, lanes)
    for column in range(columns):
        for i in range(6):
            for c in range(0, C, 8):
                p = i * padded + 4 * column * C + c
                found = _gradient_transform(
                    load(half, p), load(half, p + C), load(half, p + 2 * C), load(half, p + 3 * C)
                )
                for j, lanes in enumerate(found):
                    store(panels, (6 * i + j) * apart + in_panels(c, at + column, room), lanes)


@compiled
def _output_pixels(panels, at, room, apart, square, bias, y, size, n, row, columns):
    """y = Aᵀ M A + bias for a row of tiles, from tile `at` on, cut at the picture's edge."""
    height, width, C = size
    for column in range(columns):
        for c in range(0, C, 8):
            p = in_panels(c, at + column, room)
            for j in range(6):
                found = _output_transform(
                    load(panels, p + j * apart),
                    load(panels, p + (6 + j) * apart),
                    load(panels, p + (12 + j) * apart),
                    load(panels, p + (18 + j) * apart),
                    load(panels, p + (24 + j) * apart),
                    load(panels, p + (30 + j) * apart),
                )
                for i, lanes in enumerate(found):
                    store(square, 8 * (6 * i + j), lanes)
            for i in range(min(4, height - 4 * row)):
                p = 8 * 6 * i
                found = _output_transform(
                    load(square, p),
                    load(square, p + 8),
                    load(square, p + 16),
                    load(square, p + 24),
                    load(square, p + 32),
                    load(square, p + 40),
                )
                to = ((n * height + 4 * row + i) * width + 4 * column) * C + c
                for j, lanes in enumerate(found):
                    if 4 * column + j < width:
                        store(y, to + j * C, lanes + load(bias, c))


@inlined
def _plan(C_in, C_out, columns):
    """How many rows of tiles to take at a time, room for their tiles, and how the matrices lie."""
    at_once = max(1, TILES // columns)
    room = (at_once * columns + 3) // 4 * 4  # `products` takes four rows at a time
    blocks = (C_out + PANEL - 1) // PANEL
    tiles_at = (room * (C_in + GAP) + GAP, C_in + GAP, 1)
    panels_at = (blocks * room * PANEL + GAP, room * PANEL)
    kernels_at = (blocks * C_in * PANEL, C_in * PANEL)
    return at_once, room, blocks, tiles_at, panels_at, kernels_at


@compiled
def _convolve(part, x, size, offset, kernels, bias, y, out_size, tiling):
    _, first, end = part
    (rows, columns), C_in, C_out = tiling, size[2], out_size[2]
    at_once, room, blocks, tiles_at, panels_at, kernels_at = _plan(C_in, C_out, columns)
    tiles, panels = np.empty(36 * tiles_at[0], np.float32), np.empty(36 * panels_at[0], np.float32)
    half = np.zeros(6 * (4 * columns + 2) * C_in, np.float32)
    square = np.empty(4 * 6 * 8, np.float32)
    for begin in range(first * rows, end * rows, at_once):
        some = min(at_once, end * rows - begin)
        for k in range(some):
            n, row = divmod(begin + k, rows)
            _input_tiles(x, size, offset, n, row, columns, half, tiles, k * columns, tiles_at[0])
        sides = (36, some * columns, blocks, C_in)
        products(sides, tiles, tiles_at, kernels, kernels_at, panels, panels_at, False)
        for k in range(some):
            n, row = divmod(begin + k, rows)
            _output_pixels(
                panels, k * columns, room, panels_at[0], square, bias, y, out_size, n, row, columns
            )


@compiled
def convolve(count, *arguments):
    """Convolve x (N, H·W·C_in), of `size` (H, W, C_in) and placed on zeros at `offset`, into y.

    `kernels` (36, C_out / 16, C_in, 16) are transformed; a picture of `out_size` (H_out, W_out, C_out) has
    `tiling` rows and columns of tiles.
    """
    in_parts(_convolve, count, arguments)


@compiled
def _weight_gradient(part, x, size, offset, grad, grad_size, tiling, total):
    number, first, end = part
    (rows, columns), C_in, C_out = tiling, size[2], grad_size[2]
    at_once, room, blocks, tiles_at, panels_at, kernels_at = _plan(C_in, C_out, columns)
    tiles, panels = np.empty(36 * tiles_at[0], np.float32), np.empty(36 * panels_at[0], np.float32)
    half = np.zeros(6 * (4 * columns + 2) * C_in, np.float32)
    half_gradient = np.zeros(6 * 4 * columns * C_out, np.float32)
    for begin in range(first * rows, end * rows, at_once):
        some = min(at_once, end * rows - begin)
        for k in range(some):
            n, row = divmod(begin + k, rows)
            at = k * columns
            _input_tiles(x, size, offset, n, row, columns, half, tiles, at, tiles_at[0])
            _gradient_panels(grad, grad_size, n, row, columns, half_gradient, panels, at, room, panels_at[0])
        transposed = (tiles_at[0], 1, C_in + GAP)
        sides = (36, C_in, blocks, some * columns)
        products(sides, tiles, transposed, panels, panels_at, total[number], kernels_at, True)


@compiled
def weight_gradient(count, *arguments):
    """Add Σ (Bᵀ D B) ⊙ (A G Aᵀ) over all tiles to total (parts, 36 · C_out / 16 · C_in · 16).

    x and its `size` and `offset` as for `convolve`; grad is (N, H_out·W_out·C_out), of `grad_size`.
    """
    in_parts(_weight_gradient, count, arguments)
