"""Which of two numbers a maximum keeps, as PyTorch decides it; all loops of maximum pooling compare so."""

from plusx.ops.bfloat16 import wide
from plusx.ops.compiling import inlined
from plusx.ops.lanes import choose


@inlined
def larger(new, place, value, holder):
    """The larger number and its place: NaN counts as the largest, the last of several; of equals the first.

    `value`, from `holder`, comes before `new`, from `place`. They are numbers, or lanes of numbers.

    A loop that keeps its best in memory writes it elsewhere than it read it. Of a choice between a number and
    what already lies there the compiler makes a store that leaves some lanes as they are, and such a store
    takes AMD's processors with AVX2 several times as long as the comparison.
    """
    wins = (wide(new) > wide(value)) | (wide(new) != wide(new))
    return choose(wins, new, value), choose(wins, place, holder)
