"""The kernel's gradient on small feature maps: pictures side by side in strips.

    ∂L/∂W[i, j] = Σ_n Σ_y Σ_x G[n, y, x] · I[n, y + i − P, x + j − P]

The sum does not ask where picture n lies, only that P columns of zeros part it from the next. PyTorch's
kernel takes a row of pixels about 32 at a time and pays for all of them; of a 4×4 map it uses four. So six
maps are laid into one strip of 30 columns, P of them zeros after each map, and the same kernel does the same
sum in a quarter of the time, the copy included (see docs/how-it-got-fast.md for other sizes).

Only this one sum gains: the convolution itself and the input's gradient are PyTorch's as they come.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from plusx.device import bfloat16_units
from plusx.ops import loops
from plusx.ops.precision import as_given

COLUMNS = 32
"""So wide may a strip be."""
WIDEST_MAP = 8
MIN_PRODUCTS = 2**26
"""With fewer products than this, laying out costs more than it saves."""


def pays(x: Tensor, weight: Tensor, padding: int) -> bool:
    """Whether strips are the faster way: bfloat16 on AMX, small maps, a kernel that keeps the size.

    Args:
        x: (N, C_in, H, W).
        weight: (C_out, C_in, K, K), for stride 1, dilation 1 and one group.
        padding: P; the size is kept if it is (K − 1) / 2.
    """
    return (
        loops.suits(x, weight)
        and "amx_bf16" in bfloat16_units()  # by AVX512's products they are 0.9 times as fast as PyTorch's sum
        and x.dtype == weight.dtype == torch.bfloat16
        and tuple(weight.shape[2:]) == (2 * padding + 1, 2 * padding + 1)
        and padding >= 1
        and x.shape[3] <= WIDEST_MAP
        and x.numel() * weight.shape[0] >= MIN_PRODUCTS
    )


def lay_out(x: Tensor, gap: int) -> Tensor:
    """Put maps side by side, `gap` columns of zeros between them: (N, C, H, W) → (strips, C, H, columns).

    >>> lay_out(torch.arange(1.0, 5).view(2, 1, 1, 2), gap=1).tolist()
    [[[[1.0, 2.0, 0.0, 3.0, 4.0, 0.0]]]]
    """
    N, C, H, W = x.shape
    in_a_strip = min(N, (COLUMNS + gap) // (W + gap))
    whole, rest = divmod(N, in_a_strip)
    strips = x.new_zeros(whole + (rest > 0), H, in_a_strip, W + gap, C)
    maps = x.permute(0, 2, 3, 1)
    strips[:whole, :, :, :W] = maps[: whole * in_a_strip].unflatten(0, (whole, in_a_strip)).transpose(1, 2)
    if rest:
        strips[whole, :, :rest, :W] = maps[-rest:].transpose(0, 1)
    return strips.flatten(2, 3).permute(0, 3, 1, 2)


class StripConvolution(torch.autograd.Function):
    """PyTorch's convolution that keeps the size, with the kernel's gradient summed over strips."""

    @staticmethod
    @as_given
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        """PyTorch's."""
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.has_bias = padding, bias is not None
        y: Tensor = F.conv2d(x, weight, bias, padding=padding)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        """PyTorch's for x; the kernel's on strips, except where it is to be differentiated once more."""
        (x, weight), P = ctx.saved_tensors, ctx.padding
        for_x, for_weight = ctx.needs_input_grad[:2]
        on_strips = for_weight and not torch.is_grad_enabled()
        dx, dw, db = _gradients(grad, x, weight, P, [for_x, for_weight and not on_strips, ctx.has_bias])
        if on_strips:
            dw = _gradients(lay_out(grad, P), lay_out(x, P), weight, P, [False, True, False])[1]
        return dx, dw, db, None


def _gradients(
    grad: Tensor, x: Tensor, weight: Tensor, padding: int, wanted: list[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    if not any(wanted):
        return None, None, None
    P, ones, zeros = [padding, padding], [1, 1], [0, 0]
    bias_size = [weight.shape[0]]
    found: tuple[Tensor | None, Tensor | None, Tensor | None] = torch.ops.aten.convolution_backward(
        grad, x, weight, bias_size, ones, P, ones, False, zeros, 1, wanted
    )
    return found
