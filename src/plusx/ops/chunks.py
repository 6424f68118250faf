"""A few pictures at a time, so that what is computed on the way stays in the processor's cache."""

from collections.abc import Iterator
from types import EllipsisType

import torch
from torch import Tensor

CHUNK_BYTES = 2**22
"""About the cache that two cores have to themselves; a few times more or less makes little difference."""


def chunks(x: Tensor) -> Iterator[slice | EllipsisType]:
    """Yield slices of the batch that hold about `CHUNK_BYTES` each, or `...`, all of it, if it is no larger.

    It is all at once, too, under torch.compile, which fuses the steps, and while autograd records them.

    >>> with torch.no_grad():
    ...     [chunk.stop for chunk in chunks(torch.zeros(300, 2**13))]
    [128, 256, 300]
    """
    size = x.numel() * x.element_size()
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or size <= CHUNK_BYTES:
        yield ...
        return
    N = x.shape[0]
    pictures = max(1, CHUNK_BYTES * N // size)
    for first in range(0, N, pictures):
        yield slice(first, min(first + pictures, N))
