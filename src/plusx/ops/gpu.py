"""Which tensors suit fused Triton kernels: those on a CUDA GPU, and in Triton's interpreter, which tests use.

Triton comes with PyTorch's CUDA builds. With TRITON_INTERPRET=1 in the environment, set before the first
kernel is imported, the same kernels run number by number on the processor.

To launch one of them from Python takes longer than to launch one of PyTorch's. So where nobody chose an
engine, they serve where launches are recorded once and replayed (`prefer_kernels`), and pool large pictures.
"""

import functools
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from plusx.ops.loops import PLAIN, is_traced

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
OLDEST = (7, 0)
"""The compute capability that Triton needs."""
MOST = 2**31 - 1
"""Numbers in a tensor: places are counted in 32 bits."""
_preferred = False


def suits(*tensors: Tensor) -> bool:
    """Whether Triton kernels can take these: plain tensors of real numbers where the kernels run.

    Not while somebody traces a program or counts what it does; then, and elsewhere, torch's operations serve.

    >>> suits(torch.zeros(1))  # in the processor's memory
    False
    """
    place = "cpu" if interpreted() else "cuda"
    return not is_traced() and all(
        type(x) in PLAIN and x.device.type == place and x.dtype in DTYPES and x.numel() <= MOST and _can_run()
        for x in tensors
    )


@contextmanager
def prefer_kernels(on: bool = True) -> Iterator[None]:
    """Let ours serve inside the block even where launching them costs most: it will be replayed.

    Args:
        on: False leaves the choice to each operation.

    >>> with prefer_kernels():
    ...     kernels_preferred()
    True
    """
    global _preferred
    outer, _preferred = _preferred, on
    try:
        yield
    finally:
        _preferred = outer


def kernels_preferred() -> bool:
    """Whether a `prefer_kernels` surrounds this; in all threads at once."""
    return _preferred


def interpreted() -> bool:
    """Whether kernels run in Triton's interpreter."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@functools.lru_cache(maxsize=1)
def _can_run() -> bool:
    """Whether Triton is installed and, outside its interpreter, knows the GPU."""
    if importlib.util.find_spec("triton") is None:
        return False
    return interpreted() or torch.cuda.get_device_capability() >= OLDEST
