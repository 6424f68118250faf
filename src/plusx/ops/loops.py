"""Which tensors suit compiled loops, and those tensors as the arrays that they take.

What compiles them is in `compiling`, bfloat16 in `bfloat16`, and how the cores share them in `parts`.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

DTYPES = (torch.float32, torch.float64, torch.bfloat16)
PLAIN = (Tensor, torch.nn.Parameter)
"""Of other classes nobody knows how they answer an operation of ours."""
MOST_PIXELS = 2**31 - 1
"""Loops count the pixels of a picture in 32 bits."""


def suits(*tensors: Tensor) -> bool:
    """Whether compiled loops can take these: plain tensors of real numbers in the processor's memory.

    Not while somebody traces a program or counts what it does; then, and elsewhere, torch's operations serve.

    >>> suits(torch.zeros(1, 1, 2, 2)), suits(torch.zeros(1, 1, 1, 1).expand(1, 1, 2**16, 2**15))
    (True, False)
    """
    return not is_traced() and all(
        type(x) in PLAIN
        and x.device.type == "cpu"
        and x.dtype in DTYPES
        and x.shape[2:].numel() <= MOST_PIXELS
        for x in tensors
    )


def is_traced() -> bool:
    """Whether torch's operations are recorded or watched: what loops of our own do would be missed."""
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # type: ignore[attr-defined]
        or torch.utils._python_dispatch._get_current_dispatch_mode() is not None
    )


def layout_of(x: Tensor) -> torch.memory_format:
    """Return channels-last if x lies so, else contiguous, which loops then have it copied to."""
    last = x.is_contiguous(memory_format=torch.channels_last) and x.stride(1) == 1
    return torch.channels_last if last else torch.contiguous_format


def as_array(x: Tensor) -> np.ndarray[Any, Any]:
    """The tensor's own memory; bfloat16 as uint16."""
    x = x.detach()
    return x.view(torch.uint16).numpy() if x.dtype == torch.bfloat16 else x.numpy()


def as_pictures(x: Tensor, layout: torch.memory_format) -> np.ndarray[Any, Any]:
    """x (N, C, H, W) as (N, H·W·C) if channels come last, else as (N·C, H·W).

    Of x in this layout it is a view, into which loops may write.
    """
    N, C, H, W = x.shape
    pixels = as_array(x.contiguous(memory_format=layout))
    if layout == torch.channels_last:
        return pixels.transpose(0, 2, 3, 1).reshape(N, H * W * C)
    return pixels.reshape(N * C, H * W)


def widened(like: Tensor, value: float) -> Any:
    """The number in the precision in which loops over `like` compute: float32 at least."""
    return np.float64(value) if like.dtype == torch.float64 else np.float32(value)
