"""Products of many float32 matrices, `c[i, j] = Σ_k a[i, k] b[k, j]`, summed in the processor's registers.

An instruction multiplies and adds eight pairs of numbers; reading them must not take longer. Four rows of a
and sixteen columns of b have 64 sums: eight registers of AVX2's sixteen. Each number that is read serves
sixteen or four of them, and the processor multiplies about as fast as it can.

b and c lie in panels of 16 columns, (columns / 16, rows, 16): what `_four_rows` reads of b and writes of c is
one piece of memory. a may lie as it likes.
"""

from plusx.ops.lanes import WIDTH, load, noughts, plus_product, spread, store
from plusx.ops.loops import compiled, inlined

PANEL = 2 * WIDTH


@inlined
def in_panels(c, row, room):
    """Where column c of a row is, in panels with room for so many rows."""
    return (c // PANEL * room + row) * PANEL + c % PANEL


@inlined
def _four_rows(a, start, row, step, b, panel, length, c, place, add):
    """Four rows and sixteen columns of a matrix product, in registers until their sums are complete.

    In memory a[0, 0] is at `start`, the next row `row` further, the next number of a row `step`; b, which is
    (length, 16), begins at `panel`, and c (4, 16) at `place`.
    """
    p0 = q0 = p1 = q1 = p2 = q2 = p3 = q3 = noughts()
    for k in range(length):
        u, v = load(b, panel + PANEL * k), load(b, panel + PANEL * k + WIDTH)
        at = start + k * step
        x = spread(a, at)
        p0, q0 = plus_product(p0, x, u), plus_product(q0, x, v)
        x = spread(a, at + row)
        p1, q1 = plus_product(p1, x, u), plus_product(q1, x, v)
        x = spread(a, at + 2 * row)
        p2, q2 = plus_product(p2, x, u), plus_product(q2, x, v)
        x = spread(a, at + 3 * row)
        p3, q3 = plus_product(p3, x, u), plus_product(q3, x, v)
    for k, sums in enumerate((p0, q0, p1, q1, p2, q2, p3, q3)):
        store(c, place + WIDTH * k, load(c, place + WIDTH * k) + sums if add else sums)


@compiled
def products(sides, a, a_at, b, b_at, c, c_at, add):
    """c = a · b for each of many matrices, or that added to c; b has some panels of 16 columns.

    `sides` is (matrices, rows, panels, length). Where the rows are no multiple of four, up to three more are
    written. `a_at` says how far apart the matrices, rows and numbers of a lie; `b_at` and `c_at` how far
    matrices and panels.
    """
    (matrices, rows, panels, length), (a_matrix, row, step) = sides, a_at
    (b_matrix, b_panel), (c_matrix, c_panel) = b_at, c_at
    for m in range(matrices):
        for panel in range(panels):
            begin, place = m * b_matrix + panel * b_panel, m * c_matrix + panel * c_panel
            for k in range(0, rows, 4):
                start = m * a_matrix + k * row
                _four_rows(a, start, row, step, b, begin, length, c, place + k * PANEL, add)
