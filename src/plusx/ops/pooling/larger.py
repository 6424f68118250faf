"""Which of two numbers a maximum keeps, as PyTorch decides it; all loops of maximum pooling compare so."""

import numpy as np

from plusx.ops.bfloat16 import wide
from plusx.ops.compiling import inlined


@inlined
def larger(new, place, value, holder):
    """The larger number and its place: NaN counts as the largest, the last of several; of equals the first.

    `value`, from `holder`, comes before `new`, from `place`.
    """
    wins = (wide(new) > wide(value)) | (wide(new) != wide(new))
    return new if wins else value, place if wins else holder


@inlined
def keep_largest(x, starts, places, best, won):
    """Compare numbers of three places, from x[starts[0]] on and so forth, with the best so far, side by side.

    Numbers are widened as `best` is. The same place may come again. There are three so that the best is not
    chosen between a number and what already lies there: of such a choice the compiler makes a store that
    writes some lanes and leaves others, and on AVX2 one of them takes as long as twenty of these comparisons.
    """
    for k in range(len(best)):
        value, holder = larger(wide(x[np.uintp(starts[0] + k)]), np.int32(places[0]), best[k], won[k])
        value, holder = larger(wide(x[np.uintp(starts[1] + k)]), np.int32(places[1]), value, holder)
        best[k], won[k] = larger(wide(x[np.uintp(starts[2] + k)]), np.int32(places[2]), value, holder)
