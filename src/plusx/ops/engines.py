"""The choice of engine: one operation, up to three ways to compute it.

- `reference`: the lesson's sums, index by index; slow and obviously right (`plusx.ops.reference`).
- `handmade`: ours, vectorised, with a gradient derived by hand.
- `native`: PyTorch's vendor kernel.

Whoever names an engine in the call gets it; else the nearest `with plusx.engine(…)` around the call counts;
else the operation takes the faster one for what it was given. A call or a block that names "auto" gets that
choice of the operation's, whatever surrounds it. A backward pass belongs to the engine of its forward pass,
wherever it runs; activation checkpointing computes the forward pass once more, and then the engine around
that counts.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Engine = Literal["reference", "handmade", "native"]
ENGINES: tuple[Engine, ...] = ("reference", "handmade", "native")


class _Choice(threading.local):
    """The surrounding choice, one for each thread; torch.compile could not read a `ContextVar`."""

    def __init__(self) -> None:
        # Set for each instance: torch.compile then recompiles when the choice changes.
        self.name: Engine | None = None


_choice = _Choice()


def _checked(name: str) -> Engine | None:
    if name == "auto":
        return None
    if name not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, auto; got {name!r}")
    return name


@contextmanager
def engine(name: str) -> Iterator[None]:
    """Compute everything inside the block with one engine, in this thread.

    Args:
        name: "reference", "handmade" or "native"; "auto" leaves the choice to each operation.

    Raises:
        ValueError: for any other name.

    >>> import torch
    >>> from plusx import ops
    >>> with ops.engine("reference"):
    ...     ops.relu(torch.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    outer, _choice.name = _choice.name, _checked(name)
    try:
        yield
    finally:
        _choice.name = outer


def asked(name: str | None) -> Engine | None:
    """Return the engine that was asked for, in the call or by the surrounding block; None for the faster."""
    return _choice.name if name is None else _checked(name)


def resolve(name: str | None, default: Engine) -> Engine:
    """Return the engine that counts: the one asked for, or the operation's default."""
    return asked(name) or default
