"""Which of two numbers a maximum keeps, as PyTorch decides it; all loops of maximum pooling compare so."""

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
def keep_larger(numbers, place, best, won):
    """Compare numbers that are all of one place with the best so far, side by side, widened as these are."""
    for k in range(len(best)):
        best[k], won[k] = larger(wide(numbers[k]), place, best[k], won[k])
