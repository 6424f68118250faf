"""A few pictures at a time, so that what is computed on the way stays in the processor's cache."""

from collections.abc import Iterator

import torch
from torch import Tensor

CHUNK_BYTES = 2**22
"""About the cache that two cores have to themselves; a few times more or less makes little difference."""


def chunks(x: Tensor) -> Iterator[slice]:
    """Yield slices of the batch that hold about `CHUNK_BYTES` each.

    There is one slice only under torch.compile, which fuses the steps, and while autograd records them.

    >>> with torch.no_grad():
    ...     [chunk.stop for chunk in chunks(torch.zeros(300, 2**13))]
    [128, 256, 300]
    """
    N = x.shape[0]
    if (
        torch.compiler.is_compiling()
        or torch.is_grad_enabled()
        or x.numel() * x.element_size() <= CHUNK_BYTES
    ):
        yield slice(0, N)
        return
    pictures = max(1, CHUNK_BYTES * N // (x.numel() * x.element_size()))
    for first in range(0, N, pictures):
        yield slice(first, min(first + pictures, N))
