"""Convolution (lesson: 卷积公式), its engines and its gradients.

    O[y, x, c] = Σ_i Σ_j Σ_d W[i, j, d, c] · I[y·s + i, x·s + j, d] + b[c]

By hand it is a matrix product. Row (y, x) of the matrix of columns holds the window under that output pixel,
I[y·s + i, x·s + j, d] for all i, j, d; the kernel, flattened the same way, has a column for each output channel. The
matrix has K² times as many numbers as the picture, so it is only ever made for a few pictures that fit in the cache.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from plusx.ops import reference
from plusx.ops.engines import resolve
from plusx.ops.precision import as_given, for_products
from plusx.ops.shape import IntOrPair, Padding, edges, output_size, pair, span

CHUNK_BYTES = 2**21
"""The matrix of columns of one chunk of pictures; with the product it should stay in the cache of a core."""


def _place(x: Tensor, offset: Sequence[int], size: Sequence[int], step: Sequence[int]) -> Tensor:
    """Put the pixels of x (N, H, W, C) on zeros of `size`, from `offset` on and `step` apart; cut what falls outside."""
    if (*offset, *step) == (0, 0, 1, 1) and tuple(size) == x.shape[1:3] and x.is_contiguous():
        return x
    canvas = x.new_zeros(x.shape[0], *size, x.shape[3])
    there, here = [], []
    for length, o, s, n in zip(size, offset, step, x.shape[1:3], strict=True):
        first = max(0, -(o // s))
        last = max(first, min(n, -((o - length) // s)))
        here.append(slice(first, last))
        there.append(slice(o + first * s, o + last * s, s) if last > first else slice(0, 0))
    canvas[:, there[0], there[1]] = x[:, here[0], here[1]]
    return canvas


def _columns(
    x: Tensor,
    kernel_size: Sequence[int],
    size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    step: Sequence[int] = (1, 1),
) -> Iterator[tuple[slice, Tensor]]:
    """Yield, for a few pictures at a time, which they are and their columns (groups, pictures·H_out·W_out, K·K·C_in/groups)."""
    N, C = x.shape[:2]
    (K_h, K_w), (H, W), (s_h, s_w), (d_h, d_w) = kernel_size, size, stride, dilation
    canvas_size = ((H - 1) * s_h + span(K_h, d_h), (W - 1) * s_w + span(K_w, d_w))
    pictures = max(1, CHUNK_BYTES // (H * W * K_h * K_w * C * x.element_size()))
    for first in range(0, N, pictures):
        chunk = slice(first, min(first + pictures, N))
        canvas = _place(x[chunk].permute(0, 2, 3, 1), offset, canvas_size, step)
        picture, row, pixel, _ = canvas.stride()
        windows = canvas.as_strided(
            (groups, canvas.shape[0], H, W, K_h, K_w, C // groups),
            (C // groups, picture, s_h * row, s_w * pixel, d_h * row, d_w * pixel, 1),
            canvas.storage_offset(),
        )
        yield chunk, windows.reshape(groups, canvas.shape[0] * H * W, K_h * K_w * (C // groups))


@torch.library.custom_op("plusx::convolve", mutates_args=())
def _convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    step: Sequence[int],
) -> Tensor:
    """Convolve x, placed on zeros at `offset` with its pixels `step` apart, into an output of `size`."""
    C_out, H, W = weight.shape[0], *size
    # (C_out, C_in/groups, K, K) → (groups, K·K·C_in/groups, C_out/groups), in the order of the columns
    matrix = weight.unflatten(0, (groups, -1)).permute(0, 3, 4, 2, 1).flatten(1, 3)
    y = x.new_empty(x.shape[0], H, W, C_out)
    for chunk, columns in _columns(x, weight.shape[2:], size, stride, offset, dilation, groups, step):
        product = (columns @ matrix).transpose(0, 1)
        y[chunk] = product.reshape(-1, H, W, C_out) if bias is None else product.reshape(-1, H, W, C_out) + bias
    return _laid_out_like(x, y.permute(0, 3, 1, 2))


@_convolve.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    step: Sequence[int],
) -> Tensor:
    return _laid_out_like(x, x.new_empty(x.shape[0], *size, weight.shape[0]).permute(0, 3, 1, 2))


@torch.library.custom_op("plusx::weight_gradient", mutates_args=())
def _weight_gradient(
    x: Tensor,
    grad: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """Sum columnsᵀ · gradient over the chunks, in float32 at least."""
    C_out, C_in = grad.shape[1], x.shape[1] // groups
    wide = torch.promote_types(x.dtype, torch.float32)
    total = x.new_zeros(groups, kernel_size[0] * kernel_size[1] * C_in, C_out // groups, dtype=wide)
    for chunk, columns in _columns(x, kernel_size, grad.shape[2:], stride, offset, dilation, groups):
        rows = grad[chunk].permute(0, 2, 3, 1).reshape(-1, groups, C_out // groups).transpose(0, 1)
        total += columns.transpose(1, 2) @ rows
    return total.unflatten(1, (*kernel_size, C_in)).permute(0, 4, 3, 1, 2).flatten(0, 1).to(x.dtype).contiguous()


@_weight_gradient.register_fake
def _(
    x: Tensor,
    grad: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    return x.new_empty(grad.shape[1], x.shape[1] // groups, *kernel_size)


def _laid_out_like(x: Tensor, y: Tensor) -> Tensor:
    """Return the channels-last y as it is if x is channels-last, else contiguous."""
    return y if x.is_contiguous(memory_format=torch.channels_last) and x.stride(1) == 1 else y.contiguous()


class Convolution(torch.autograd.Function):
    """`y = x ∗ W + b`, linear in x and in W.

    Output pixel p reads input pixel `q = p·s + i·d − P` through tap i (one axis stands for both). So with G = ∂L/∂y

        ∂L/∂x[q] = Σ_i W[i] G[(q + P − i·d) / s]     over the taps where that is a whole number
        ∂L/∂W[i] = Σ_p G[p] x[p·s + i·d − P]
        ∂L/∂b    = Σ_p G[p]

    The first is `InputGradient`, the second `WeightGradient`. Both are linear in two of (x, W, G) again, and their own
    gradients are these same three functions: the three can be differentiated as often as one likes.
    """

    @staticmethod
    @as_given
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: tuple[Any, ...]) -> Tensor:
        """Columns times kernel."""
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        stride, offset, dilation, groups, size = geometry
        return _convolve(x, weight, bias, size, stride, offset, dilation, groups, (1, 1))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        """The three sums above."""
        x, weight = ctx.saved_tensors
        needed = ctx.needs_input_grad
        return (
            InputGradient.apply(grad, weight, ctx.geometry, tuple(x.shape[2:])) if needed[0] else None,
            WeightGradient.apply(x, grad, ctx.geometry, tuple(weight.shape[2:])) if needed[1] else None,
            grad.sum((0, 2, 3)) if needed[2] else None,
            None,
        )


class InputGradient(torch.autograd.Function):
    """`∂L/∂x = Σ_i W[i] G[(q + P − i·d) / s]`: the transposed convolution, itself a convolution.

    Put G on zeros with its pixels s apart, beginning at d·(K − 1) − P. Then input pixel q reads that canvas at
    `q + (K − 1 − i)·d`, so this is the convolution of the canvas, at stride 1, with the kernel turned by 180° and its
    input and output channels exchanged.
    """

    @staticmethod
    @as_given
    def forward(ctx: Any, grad: Tensor, weight: Tensor, geometry: tuple[Any, ...], size: tuple[int, int]) -> Tensor:
        """Turn the kernel and convolve."""
        ctx.save_for_backward(grad, weight)
        ctx.geometry = geometry
        stride, offset, dilation, groups, _ = geometry
        turned = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1).flip(2, 3)
        start = tuple(span(k, d) - 1 - o for k, d, o in zip(weight.shape[2:], dilation, offset, strict=True))
        return _convolve(grad, turned, None, size, (1, 1), start, dilation, groups, stride)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """For v of x's shape: ∂/∂G = v ∗ W, ∂/∂W[i] = Σ_p G[p] v[p·s + i·d − P]."""
        grad, weight = ctx.saved_tensors
        return (
            Convolution.apply(v, weight, None, ctx.geometry) if ctx.needs_input_grad[0] else None,
            WeightGradient.apply(v, grad, ctx.geometry, tuple(weight.shape[2:])) if ctx.needs_input_grad[1] else None,
            None,
            None,
        )


class WeightGradient(torch.autograd.Function):
    """`∂L/∂W[i] = Σ_p G[p] x[p·s + i·d − P]`: the transposed matrix of columns times the gradient."""

    @staticmethod
    @as_given
    def forward(ctx: Any, x: Tensor, grad: Tensor, geometry: tuple[Any, ...], kernel_size: tuple[int, int]) -> Tensor:
        """Columns again, this time transposed."""
        ctx.save_for_backward(x, grad)
        ctx.geometry = geometry
        stride, offset, dilation, groups, _ = geometry
        return _weight_gradient(x, grad, kernel_size, stride, offset, dilation, groups)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """For v of W's shape: ∂/∂x[q] = Σ_i v[i] G[(q + P − i·d) / s], ∂/∂G = x ∗ v."""
        x, grad = ctx.saved_tensors
        return (
            InputGradient.apply(grad, v, ctx.geometry, tuple(x.shape[2:])) if ctx.needs_input_grad[0] else None,
            Convolution.apply(x, v, None, ctx.geometry) if ctx.needs_input_grad[1] else None,
            None,
            None,
        )


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
    *,
    engine: str | None = None,
) -> Tensor:
    """Convolve a batch of pictures.

    Args:
        x: (N, C_in, H, W), or one picture (C_in, H, W).
        weight: (C_out, C_in / groups, K_h, K_w).
        bias: (C_out,) or None.
        stride: s, one number or (vertical, horizontal).
        padding: rows and columns of zeros on both sides, or "valid" (none) or "same" (H_out = ⌈H / s⌉).
        dilation: the distance between the kernel's taps.
        groups: into how many the channels are split; each output channel sees only the inputs of its group.
        engine: see `plusx.ops.engine`.

    Returns:
        (N, C_out, H_out, W_out), channels-last if x is; see `plusx.ops.output_size`.

    Raises:
        ValueError: if the sizes do not fit or no window fits.

    >>> picture = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])[None, None]
    >>> conv2d(picture, torch.ones(1, 1, 2, 2)).tolist()
    [[[[12.0, 16.0], [24.0, 28.0]]]]
    """
    if x.dim() == 3:
        return conv2d(x[None], weight, bias, stride, padding, dilation, groups, engine=engine)[0]
    _check(x, weight, bias, groups)
    K, s, d = (weight.shape[2], weight.shape[3]), pair(stride, "stride"), pair(dilation, "dilation")
    H, W = x.shape[2], x.shape[3]
    size = output_size((H, W), K, s, padding, d)
    (top, bottom), (left, right) = edges((H, W), K, s, padding, d)
    match resolve(engine, "native"):
        case "reference":
            return reference.on_tensors(reference.batched_conv2d, x, weight, bias, s, padding, d, groups)
        case "handmade":
            x, weight, bias = for_products(x, weight, bias)
            return Convolution.apply(x, weight, bias, (s, (top, left), d, groups, size))
        case "native":
            if (top, left) != (bottom, right):
                x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
            return F.conv2d(x, weight, bias, s, (top, left), d, groups)


def _check(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    if x.dim() != 4 or weight.dim() != 4:
        raise ValueError(f"x must be (N, C, H, W) and weight (C_out, C_in/groups, K, K); got {x.dim()}-D and {weight.dim()}-D")
    C_out, C_in = weight.shape[0], weight.shape[1]
    if groups < 1 or C_out % groups or x.shape[1] != C_in * groups:
        raise ValueError(
            f"{x.shape[1]} input channels do not fit weight {tuple(weight.shape)} in {groups} groups: "
            f"weight must be (C_out, {x.shape[1]} / groups, K, K) with C_out a multiple of groups"
        )
    if bias is not None and bias.shape != (C_out,):
        raise ValueError(f"bias must be ({C_out},), one for each output channel; got {tuple(bias.shape)}")
