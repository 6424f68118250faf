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
in its own cache. Everything is flat in memory and float32, only pictures may be bfloat16, and channels are
transformed eight at a time:

    pictures   (N, H·W·C)
    half       (6, pixels·C): a row of tiles transformed down the columns, `Bᵀ D` or `A G`, not yet along rows
    tiles      36 × (T, C), one matrix for each element of a tile: tile, channel
    panels     36 × (⌈C / 16⌉, T, 16), the same in columns of 16 channels (see `plusx.ops.convolution.panels`)
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from plusx.ops.compiling import compiled, inlined
from plusx.ops.convolution.panels import PANEL, place_in_panels, products
from plusx.ops.lanes import EIGHT_LANES, load, noughts, store
from plusx.ops.parts import in_parts

TILES = 48
"""So many at a time: enough to use a kernel for once it is in the cache, few enough to stay there."""
GAP = 16
"""A cache line between tiles, and between matrices: a power of two apart they would compete for the same."""
# A float32 times a Python number would become a float64.
TWO, FOUR, FIVE, EIGHT = (np.float32(n) for n in (2, 4, 5, 8))


class Tiling(NamedTuple):
    """How pictures are cut into tiles, and how the matrices of some tiles lie."""

    rows: int
    columns: int
    """Rows and columns of tiles in a picture."""
    at_once: int
    """Rows of tiles that are taken at a time."""
    room: int
    """Room for so many tiles."""
    panels: int
    """Panels of 16 output channels, the last one perhaps not full."""
    tiles_at: tuple[int, int, int]
    """From a matrix of `tiles` to the next, from a tile to the next, from a channel to the next."""
    panels_at: tuple[int, int]
    """From a matrix of `panels` to the next, from a panel to the next."""
    kernels_at: tuple[int, int]
    """The same for kernels, 36 × (panels, C_in, 16)."""


def rows_and_columns(size: Sequence[int]) -> tuple[int, int]:
    """How many tiles cover an output of this size."""
    return -(-size[0] // 4), -(-size[1] // 4)


def tiling(size: Sequence[int], C_in: int, C_out: int) -> Tiling:
    """Lay out the tiles of an output of this size.

    >>> tiling((30, 30), 8, 24)[:5]
    (8, 8, 6, 48, 2)
    """
    rows, columns = rows_and_columns(size)
    at_once = max(1, TILES // columns)
    room = -(-at_once * columns // 4) * 4  # `products` takes four rows at a time
    panels = -(-C_out // PANEL)
    tiles_at = (room * (C_in + GAP) + GAP, C_in + GAP, 1)
    panels_at = (panels * room * PANEL + GAP, room * PANEL)
    kernels_at = (panels * C_in * PANEL, C_in * PANEL)
    return Tiling(rows, columns, at_once, room, panels, tiles_at, panels_at, kernels_at)


@inlined
def _input_transform(taken):
    """Bᵀ (a, b, c, d, e, f). The values at 1 and −1 share their even and odd terms, as those at 2 and −2."""
    a, b, c, d, e, f = taken
    even, odd = e - FOUR * c, d - FOUR * b
    even_2, odd_2 = e - c, TWO * (d - b)
    first, last = FOUR * a - FIVE * c + e, FOUR * b - FIVE * d + f
    return first, even + odd, even - odd, even_2 + odd_2, even_2 - odd_2, last


@inlined
def _gradient_transform(taken):
    """A (a, b, c, d): the polynomial a + b·t + c·t² + d·t³ at 0, ±1, ±2 and ∞."""
    a, b, c, d = taken
    even, odd = a + c, b + d
    even_2, odd_2 = a + FOUR * c, TWO * (b + FOUR * d)
    return a, even + odd, even - odd, even_2 + odd_2, even_2 - odd_2, d


@inlined
def _output_transform(taken):
    """Aᵀ (a, b, c, d, e, f)."""
    a, b, c, d, e, f = taken
    sums, sums_2 = b + c, d + e
    differences, differences_2 = b - c, d - e
    return (
        a + sums + sums_2,
        differences + TWO * differences_2,
        sums + FOUR * sums_2,
        differences + EIGHT * differences_2 + f,
    )


@inlined
def _load(x, index):
    return load(x, index, EIGHT_LANES)


@inlined
def _load_if(inside, x, index):
    return _load(x, index) if inside else noughts(EIGHT_LANES)


@inlined
def _four(x, at, step):
    return _load(x, at), _load(x, at + step), _load(x, at + 2 * step), _load(x, at + 3 * step)


@inlined
def _six(x, at, step):
    a, b, c, d = _four(x, at, step)
    return a, b, c, d, _load(x, at + 4 * step), _load(x, at + 5 * step)


@compiled
def _input_tiles(x, size, offset, n, row, plan, at, half, tiles):
    """Write Bᵀ D B of a row of tiles to tile `at` and on; `half` has zeros left and right of the picture."""
    (height, width, C), (top, left) = size, offset
    line, padded = width * C, (4 * plan.columns + 2) * C
    y = 4 * row - top
    start = (n * height + y) * line
    for p in range(0, min(line, padded - left * C), 8):
        taken = (
            _load_if(0 <= y < height, x, start + p),
            _load_if(0 <= y + 1 < height, x, start + line + p),
            _load_if(0 <= y + 2 < height, x, start + 2 * line + p),
            _load_if(0 <= y + 3 < height, x, start + 3 * line + p),
            _load_if(0 <= y + 4 < height, x, start + 4 * line + p),
            _load_if(0 <= y + 5 < height, x, start + 5 * line + p),
        )
        for i, lanes in enumerate(_input_transform(taken)):
            store(half, i * padded + left * C + p, lanes)
    matrix, tile, _ = plan.tiles_at
    for column in range(plan.columns):
        for i in range(6):
            for c in range(0, C, 8):
                p = i * padded + 4 * column * C + c
                taken = _six(half, p, C)
                for j, lanes in enumerate(_input_transform(taken)):
                    store(tiles, (6 * i + j) * matrix + (at + column) * tile + c, lanes)


@compiled
def _gradient_panels(grad, size, n, row, plan, at, half, panels):
    """Write A G Aᵀ of a row of tiles to tile `at` and on; `half` has zeros right of the gradient."""
    height, width, C = size
    line, padded = width * C, 4 * plan.columns * C
    y = 4 * row
    start = (n * height + y) * line
    for p in range(0, line, 8):
        taken = (
            _load(grad, start + p),
            _load_if(y + 1 < height, grad, start + line + p),
            _load_if(y + 2 < height, grad, start + 2 * line + p),
            _load_if(y + 3 < height, grad, start + 3 * line + p),
        )
        for i, lanes in enumerate(_gradient_transform(taken)):
            store(half, i * padded + p, lanes)
    matrix, _ = plan.panels_at
    for column in range(plan.columns):
        for i in range(6):
            for c in range(0, C, 8):
                p = i * padded + 4 * column * C + c
                taken = _four(half, p, C)
                to = place_in_panels(c, at + column, plan.room)
                for j, lanes in enumerate(_gradient_transform(taken)):
                    store(panels, (6 * i + j) * matrix + to, lanes)


@compiled
def _output_pixels(panels, bias, n, row, plan, at, columns_done, y, size):
    """y = Aᵀ M A + bias for a row of tiles, from tile `at` on, cut at the picture's edge.

    `columns_done` has room for Aᵀ M of one tile and eight channels: (4, 6, 8).
    """
    height, width, C = size
    matrix, _ = plan.panels_at
    for column in range(plan.columns):
        for c in range(0, C, 8):
            p = place_in_panels(c, at + column, plan.room)
            for j in range(6):
                taken = _six(panels, p + j * matrix, 6 * matrix)
                for i, lanes in enumerate(_output_transform(taken)):
                    store(columns_done, (6 * i + j) * 8, lanes)
            for i in range(min(4, height - 4 * row)):
                p = 6 * i * 8
                taken = _six(columns_done, p, 8)
                to = ((n * height + 4 * row + i) * width + 4 * column) * C + c
                for j, lanes in enumerate(_output_transform(taken)):
                    if 4 * column + j < width:
                        store(y, to + j * C, lanes + _load(bias, c))


@compiled
def _convolve(part, all_rows, x, size, offset, kernels, bias, plan, y, out_size):
    _, first, end = part
    tiles, panels = _room(36 * plan.tiles_at[0]), _room(36 * plan.panels_at[0])
    half = np.zeros(6 * (4 * plan.columns + 2) * size[2], np.float32)
    columns_done = _room(4 * 6 * 8)
    for begin in range(first, end, plan.at_once):
        some = min(plan.at_once, end - begin)
        for k in range(some):
            n, row = divmod(begin + k, plan.rows)
            _input_tiles(x, size, offset, n, row, plan, k * plan.columns, half, tiles)
        sides = (36, some * plan.columns, plan.panels, size[2])
        products(sides, tiles, plan.tiles_at, kernels, plan.kernels_at, panels, plan.panels_at, False)
        for k in range(some):
            n, row = divmod(begin + k, plan.rows)
            _output_pixels(panels, bias, n, row, plan, k * plan.columns, columns_done, y, out_size)


@inlined
def _room(count):
    return np.empty(count, np.float32)


@compiled
def convolve(count, *arguments):
    """Convolve x (N, H·W·C_in), of `size` (H, W, C_in) and placed on zeros at `offset`, into y.

    `all_rows` is as long as there are rows of tiles in all pictures, which the threads share. `kernels` are
    transformed, 36 × (panels, C_in, 16); y is (N, H_out·W_out·C_out), of `out_size`.
    """
    in_parts(_convolve, count, arguments)


@compiled
def _weight_gradient(part, all_rows, x, size, offset, grad, grad_size, plan, total):
    number, first, end = part
    tiles, panels = _room(36 * plan.tiles_at[0]), _room(36 * plan.panels_at[0])
    half = np.zeros(6 * (4 * plan.columns + 2) * size[2], np.float32)
    half_gradient = np.zeros(6 * 4 * plan.columns * grad_size[2], np.float32)
    matrix, tile, channel = plan.tiles_at
    for begin in range(first, end, plan.at_once):
        some = min(plan.at_once, end - begin)
        for k in range(some):
            n, row = divmod(begin + k, plan.rows)
            _input_tiles(x, size, offset, n, row, plan, k * plan.columns, half, tiles)
            _gradient_panels(grad, grad_size, n, row, plan, k * plan.columns, half_gradient, panels)
        sides, transposed = (36, size[2], plan.panels, some * plan.columns), (matrix, channel, tile)
        products(sides, tiles, transposed, panels, plan.panels_at, total[number], plan.kernels_at, True)


@compiled
def weight_gradient(count, *arguments):
    """Add Σ (Bᵀ D B) ⊙ (A G Aᵀ) over all tiles to total (parts, 36 · panels · C_in · 16).

    x, its `size` and `offset`, and `all_rows` as for `convolve`; grad is (N, H_out·W_out·C_out).
    """
    in_parts(_weight_gradient, count, arguments)
