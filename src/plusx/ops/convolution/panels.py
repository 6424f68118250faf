"""Products of many float32 matrices, `c[i, j] = Σ_k a[i, k] b[k, j]`, summed in the processor's registers.

An instruction multiplies and adds eight pairs of numbers, or sixteen; reading them must not take longer. Four
rows of a and two vectors of columns of b have eight vectors of sums, which the processor's registers hold.
Each number that is read serves two or four of them, and the processor multiplies about as fast as it can.

b and c lie in panels of 16 columns, (columns / 16, rows, 16): what `_four_rows` reads of b and writes of c is
one or two pieces of memory. a may lie as it likes.
"""

from plusx.ops.compiling import compiled, inlined
from plusx.ops.lanes import (
    EIGHT_LANES,
    MOST_LANES,
    SIXTEEN_LANES,
    broadcast,
    load,
    noughts,
    plus_product,
    store,
)

PANEL = 16
TWO_PANELS = MOST_LANES == SIXTEEN_LANES
"""Whether a vector is as wide as a panel: then two panels make two vectors, else the halves of one."""


@inlined
def place_in_panels(c, row, room):
    """Where column c of a row is, in panels with room for so many rows."""
    return (c // PANEL * room + row) * PANEL + c % PANEL


@inlined
def _four_rows(width, a, start, row, step, b, left, right, length, c, to_left, to_right, add):
    """Four rows and two vectors of columns of a matrix product, in registers until their sums are complete.

    In memory a[0, 0] is at `start`, the next row `row` further, the next number of a row `step`. The vectors
    of b's first row are at `left` and `right`, those of c's at `to_left` and `to_right`.
    """
    p0 = q0 = p1 = q1 = p2 = q2 = p3 = q3 = noughts(width)
    for k in range(length):
        u, v = load(b, left + PANEL * k, width), load(b, right + PANEL * k, width)
        at = start + k * step
        x = broadcast(a, at, width)
        p0, q0 = plus_product(p0, x, u), plus_product(q0, x, v)
        x = broadcast(a, at + row, width)
        p1, q1 = plus_product(p1, x, u), plus_product(q1, x, v)
        x = broadcast(a, at + 2 * row, width)
        p2, q2 = plus_product(p2, x, u), plus_product(q2, x, v)
        x = broadcast(a, at + 3 * row, width)
        p3, q3 = plus_product(p3, x, u), plus_product(q3, x, v)
    for k, (p, q) in enumerate(((p0, q0), (p1, q1), (p2, q2), (p3, q3))):
        store(c, to_left + PANEL * k, load(c, to_left + PANEL * k, width) + p if add else p)
        store(c, to_right + PANEL * k, load(c, to_right + PANEL * k, width) + q if add else q)


@inlined
def _all_rows(width, rows, length, a, start, a_at, b, left, next_b, c, to, next_c, add):
    """The same for all rows; the second vector is `next_b` behind the first in b, and `next_c` in c."""
    _, row, step = a_at
    for k in range(0, rows, 4):
        first, place = start + k * row, to + k * PANEL
        _four_rows(width, a, first, row, step, b, left, left + next_b, length, c, place, place + next_c, add)


@compiled
def products(sides, a, a_at, b, b_at, c, c_at, add):
    """c = a · b for each of many matrices, or that added to c; b has some panels of 16 columns.

    `sides` is (matrices, rows, panels, length). Where the rows are no multiple of four, up to three more are
    read from a and written to c, which need room for them. `a_at` says how far apart the matrices, rows and
    numbers of a lie; `b_at` and `c_at` how far matrices and panels.
    """
    (matrices, rows, panels, length), (b_matrix, b_panel), (c_matrix, c_panel) = sides, b_at, c_at
    in_pairs = panels // 2 * 2 if TWO_PANELS else 0
    for m in range(matrices):
        start, first, place = m * a_at[0], m * b_matrix, m * c_matrix
        for panel in range(0, in_pairs, 2):
            left, to = first + panel * b_panel, place + panel * c_panel
            _all_rows(SIXTEEN_LANES, rows, length, a, start, a_at, b, left, b_panel, c, to, c_panel, add)
        for panel in range(in_pairs, panels):
            left, to = first + panel * b_panel, place + panel * c_panel
            _all_rows(EIGHT_LANES, rows, length, a, start, a_at, b, left, 8, c, to, 8, add)
