"""Memory that is asked for before a loop comes to it.

A processor foresees what is read next and fetches it, but not beyond the page of memory that it is in. Where
a row of pixels or a plane is no longer than that, loops ask for the next one themselves.
"""

from plusx.ops.compiling import inlined
from plusx.ops.lanes import prefetch

PAGE = 4096
"""Bytes."""


@inlined
def ends_early(x, count):
    """Whether so many numbers of x in a row end before the processor has foreseen much."""
    return count * x.itemsize <= PAGE


@inlined
def fetch(x, begin, count, apart):
    """Ask for `count` numbers of x and their neighbours: those of pixels or planes, so many numbers apart."""
    for k in range(count):
        prefetch(x, begin + k * apart)
