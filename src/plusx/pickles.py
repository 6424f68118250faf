"""Pickles from strangers, looked through before any of them is obeyed.

To refuse the functions that a pickle names is not enough. A few bytes of it can ask for gigabytes (a place
2³¹ in its memo, the same long bytes decoded again and again), or nest tuples so deep that hashing them
overflows the stack and kills the process.
"""

import io
import pickletools
from typing import IO

_MOST_PLACES = 1_000_000
_ACTS = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "BUILD"}


def names_in(pickled: bytes | IO[bytes], most: int) -> set[str]:
    """The "module name" of everything that a pickle wants to call, found without calling anything.

    Args:
        pickled: its content, or a file that stands at its beginning and then behind its end.
        most: so many tuples and calls it may have, together.

    Returns:
        The names; "?" stands for one that only comes about as the pickle is obeyed.

    Raises:
        ValueError: if it is damaged, or has more tuples and calls, or numbers a place beyond the millionth.

    >>> import collections, pickle
    >>> names_in(pickle.dumps(collections.OrderedDict(), protocol=2), most=10)
    {'collections OrderedDict'}
    """
    names: set[str] = set()
    acts = 0
    stream = io.BytesIO(pickled) if isinstance(pickled, bytes) else pickled
    for opcode, argument, _ in pickletools.genops(stream):
        acts += opcode.name in _ACTS
        if acts > most or (opcode.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > _MOST_PLACES):
            raise ValueError("it is made to use up memory")
        if opcode.name == "GLOBAL":
            names.add(str(argument))
        elif opcode.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
            names.add("?")
    return names
