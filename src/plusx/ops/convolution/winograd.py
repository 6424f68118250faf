"""Winograd's convolution: the same sums with a quarter of the multiplications.

Four neighbouring outputs of a 3-tap kernel w read six inputs d: 4 · 3 = 12 products. Both can be seen as
polynomials; a product of polynomials is known from its values at 2 + 4 points, and 0, ±1, ±2, ∞ make

    y = Aᵀ [(G w) ⊙ (Bᵀ d)]      6 products, ⊙ element by element

with small fixed matrices. Rows and columns together take 36 products for 4×4 outputs instead of 144:

    Y = Aᵀ [Σ_c (G W_c Gᵀ) ⊙ (Bᵀ D_c B)] A

The sum over input channels c makes 36 matrix products of it, (tiles, C_in)·(C_in, C_out), one for each
element of a tile (`plusx.ops.convolution.panels`). Both gradients have the same form, since Y is linear in W
and in D: that of the input is a convolution itself; that of the kernel, from G_Y = ∂L/∂Y, is

    ∂L/∂W = Gᵀ [Σ_tiles (Bᵀ D B) ⊙ (A G_Y Aᵀ)] G

What it costs: the transforms pass over the data a few more times, so little work gains nothing; rounding
errors are some ten times those of the plain sum, harmless in float32, too many in bfloat16; and an infinity
spoils the whole tile. So everything is computed in float32, and bfloat16 is only read and written: the
results are rounded once, as PyTorch's are.

Source: Lavin and Gray 2015, arXiv 1509.09308, section 4.1: F(4×4, 3×3).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from llvmlite import binding
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from plusx.device import bfloat16_units
from plusx.ops.convolution import winograd_loops
from plusx.ops.convolution.panels import PANEL
from plusx.ops.convolution.winograd_loops import Tiling, rows_and_columns, tiling
from plusx.ops.lanes import EIGHT_LANES, MOST_LANES, SIXTEEN_LANES
from plusx.ops.loops import as_array, as_pictures, layout_of
from plusx.ops.parts import parts

FEW_TILES = 64
"""With fewer tiles than this the transformed kernels are hardly used."""
MIN_WEIGHTS, MIN_TILES = (24 * 24, 256) if MOST_LANES == SIXTEEN_LANES else (16 * 16, 128)
MIN_WORK = 2**18
"""With fewer C_in · C_out, tiles, or both multiplied, PyTorch's kernel is faster, with AVX512 sooner."""
MOST_SUMS = 2**26
"""Sums of the kernel's gradient that threads keep at most; each has its own."""
MIN_CONTIGUOUS_WEIGHTS = 32 * 32
"""C_in · C_out for contiguous pictures, which have to be rearranged first."""
WIDE_UNITS = binding.get_host_cpu_name() == "znver5"
"""Whether this processor, by LLVM's name, is one whose float32 units make it faster than bfloat16's own."""
MIN_BFLOAT16_TILES, MIN_BFLOAT16_WORK, MIN_PART_ON_MAP = 512, 2**23, 0.8
"""Where there are fewer tiles or products, or less of the tiles lies on the map, PyTorch's is faster."""


def _kernel_transform(like: Tensor) -> Tensor:
    """G for rows and for columns at once: (36, 9), from a kernel's taps to its transform's elements."""
    rows = [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6]]
    rows += [[1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]]
    G = torch.tensor(rows, dtype=like.dtype)
    return torch.kron(G, G)


def suits(
    x: Tensor,
    C_out: int,
    kernel_size: Sequence[int],
    size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> bool:
    """Whether this is a way, and faster than columns: 3×3 taps at stride 1, on the processor.

    In float32, and in bfloat16 where there is no AMX to multiply it.
    """
    tiles = math.prod(rows_and_columns(size))
    return (
        x.device.type == "cpu"
        and (x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and "amx_bf16" not in bfloat16_units()))
        and tuple(kernel_size) == (3, 3)
        and {*stride, *dilation, groups} == {1}
        and all(0 <= o <= 2 for o in offset)
        and x.shape[1] % len(EIGHT_LANES) == C_out % len(EIGHT_LANES) == 0
        and x.shape[0] * tiles >= FEW_TILES
        and 36 * tiles <= 0.45 * 9 * size[0] * size[1]
    )


def pays(x: Tensor, C_out: int, size: Sequence[int]) -> bool:
    """Whether it is faster than PyTorch's kernel too, where it suits."""
    weights, tiles = x.shape[1] * C_out, x.shape[0] * math.prod(rows_and_columns(size))
    channels_last = layout_of(x) == torch.channels_last
    if x.dtype == torch.bfloat16:
        return (
            WIDE_UNITS
            and channels_last
            and weights >= MIN_WEIGHTS
            and tiles >= MIN_BFLOAT16_TILES
            and tiles * weights >= MIN_BFLOAT16_WORK
            and x.shape[0] * math.prod(size) >= MIN_PART_ON_MAP * 16 * tiles
        )
    least = MIN_WEIGHTS if channels_last else MIN_CONTIGUOUS_WEIGHTS
    return weights >= least and tiles >= MIN_TILES and tiles * weights >= MIN_WORK


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, size: Sequence[int], offset: Sequence[int]
) -> Tensor:
    """Convolve x (N, C_in, H, W), with `offset` zeros above and to the left, into an output of `size`.

    Returns:
        (N, C_out, *size), channels-last.
    """
    C_out, C_in = weight.shape[:2]
    assert x.shape[1] == C_in
    weight = weight.float()
    plan = tiling(size, C_in, C_out)
    rows = _rows_of_tiles(x, plan)
    y = x.new_empty(x.shape[0], *size, C_out)
    winograd_loops.convolve(
        parts(rows),
        rows,
        as_pictures(x, torch.channels_last),
        _size(x),
        tuple(offset),
        (_kernel_transform(weight) @ _in_panels(weight).flatten(1)).numpy(),
        (weight.new_zeros(C_out) if bias is None else bias.detach().float().contiguous()).numpy(),
        plan,
        as_array(y.flatten(1)),
        (*size, C_out),
    )
    return y.permute(0, 3, 1, 2)


def weight_gradient(x: Tensor, grad: Tensor, offset: Sequence[int]) -> Tensor:
    """∂L/∂W (C_out, C_in, 3, 3) from x (N, C_in, H, W) and ∂L/∂Y (N, C_out, H_out, W_out)."""
    C_in, C_out = x.shape[1], grad.shape[1]
    assert len(x) == len(grad)
    plan = tiling(grad.shape[2:], C_in, C_out)
    rows = _rows_of_tiles(x, plan)
    numbers = 36 * plan.panels * C_in * PANEL
    count = min(parts(rows), max(1, MOST_SUMS // numbers))
    total = x.new_zeros(count, numbers, dtype=torch.float32)
    pictures, gradients = (as_pictures(t, torch.channels_last) for t in (x, grad))
    winograd_loops.weight_gradient(
        count, rows, pictures, _size(x), tuple(offset), gradients, _size(grad), plan, total.numpy()
    )
    sums = total[0] if count == 1 else total.sum(0)
    taps = (_kernel_transform(sums).T @ sums.view(36, -1)).view(3, 3, plan.panels, C_in, PANEL)
    dw = taps.permute(2, 4, 3, 0, 1).flatten(0, 1)[:C_out]
    return dw.to(x.dtype, memory_format=torch.contiguous_format)


def _rows_of_tiles(x: Tensor, plan: Tiling) -> NDArray[np.int8]:
    """As long as there are rows of tiles in all pictures: that many are shared among the threads."""
    return np.empty(len(x) * plan.rows, np.int8)


def _in_panels(weight: Tensor) -> Tensor:
    """(C_out, C_in, 3, 3) → (9, panels of 16 output channels, C_in, 16), zeros in what the last one lacks."""
    whole = F.pad(weight.detach(), (0, 0, 0, 0, 0, 0, 0, -weight.shape[0] % PANEL))
    return whole.unflatten(0, (-1, PANEL)).permute(3, 4, 0, 2, 1).flatten(0, 1)


def _size(x: Tensor) -> tuple[int, int, int]:
    return x.shape[2], x.shape[3], x.shape[1]
