"""The ways to compute a pooling by hand, each a file with the same four functions."""

from types import ModuleType

from torch import Tensor

from plusx.ops import gpu
from plusx.ops.pooling import by_taps, in_loops
from plusx.ops.pooling.windows import PoolGeometry

MOST_TAPS = 64
"""A Triton kernel writes the taps of a window out, one after the other."""


def way_for(x: Tensor, geometry: PoolGeometry) -> ModuleType:
    """Return the fused way where there is one: Triton kernels on a GPU, compiled loops on the processor.

    >>> import torch
    >>> way_for(torch.zeros(1, 1, 2, 2), PoolGeometry((2, 2), (2, 2), (0, 0), (1, 1), (1, 1))).__name__
    'plusx.ops.pooling.in_loops'
    """
    if gpu.suits(x) and geometry.K[0] * geometry.K[1] <= MOST_TAPS:
        from plusx.ops.pooling import on_gpu  # Triton is not everywhere

        return on_gpu
    # A window whose taps lie further apart than the picture is large may miss it with all of them.
    within = all(d <= size for d, size in zip(geometry.dilation, x.shape[2:], strict=True))
    return in_loops if within and in_loops.suits(x) else by_taps
