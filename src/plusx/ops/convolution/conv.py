"""Convolution (lesson: 卷积公式), its three engines and its three gradients.

O[y, x, c] = Σ_i Σ_j Σ_d W[i, j, d, c] · I[y·s + i, x·s + j, d] + b[c]
"""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from plusx.ops import reference
from plusx.ops.convolution import strips, winograd
from plusx.ops.convolution.routes import convolve, input_gradient, weight_gradient
from plusx.ops.convolution.strips import StripConvolution
from plusx.ops.engines import Engine, asked
from plusx.ops.lesson_layout import each_picture, to_lesson, vector
from plusx.ops.loops import PLAIN, is_traced
from plusx.ops.precision import as_given, for_product
from plusx.ops.shape import IntOrPair, Padding, Pair, edges, output_size, pair


class ConvGeometry(NamedTuple):
    """Which pixels a convolution multiplies with which taps; pairs are (vertical, horizontal)."""

    stride: Pair
    offset: Pair
    """How far before the picture the first window begins: the padding at the top and left."""
    dilation: Pair
    groups: int
    size: Pair
    """Of the output."""


class Convolution(torch.autograd.Function):
    """`y = x ∗ W + b`, linear in x and in W.

    Output pixel p reads input pixel `q = p·s + i·d − P` through tap i (one axis for both). With G = ∂L/∂y

        ∂L/∂x[q] = Σ_i W[i] G[(q + P − i·d) / s]     over the taps where that is a whole number
        ∂L/∂W[i] = Σ_p G[p] x[p·s + i·d − P]
        ∂L/∂b    = Σ_p G[p]

    The first is `InputGradient`, the second `WeightGradient`. Each is linear in two of (x, W, G), and its own
    gradients are again these three functions: they can be differentiated as often as one likes.
    """

    @staticmethod
    @as_given
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: ConvGeometry) -> Tensor:
        """Columns times kernel."""
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        stride, offset, dilation, groups, size = geometry
        result: Tensor = convolve(x, weight, bias, size, stride, offset, dilation, groups)
        return result

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

    Put G on zeros with its pixels s apart, beginning at d·(K − 1) − P. Then input pixel q reads this canvas
    at `q + (K − 1 − i)·d`: a convolution of the canvas, at stride 1, with the kernel turned by 180° and its
    input and output channels exchanged. Where that is less work, the same sum goes the other way round: each
    pixel of G times the kernel is K·K products a channel, and each is added to the pixel that it belongs to.
    """

    @staticmethod
    @as_given
    def forward(
        ctx: Any, grad: Tensor, weight: Tensor, geometry: ConvGeometry, size: tuple[int, int]
    ) -> Tensor:
        """Turn the kernel and convolve, or send each product where it belongs."""
        ctx.save_for_backward(grad, weight)
        ctx.geometry = geometry
        stride, offset, dilation, groups, _ = geometry
        result: Tensor = input_gradient(grad, weight, size, stride, offset, dilation, groups)
        return result

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """For v of x's shape: ∂/∂G = v ∗ W, ∂/∂W[i] = Σ_p G[p] v[p·s + i·d − P]."""
        grad, weight = ctx.saved_tensors
        return (
            Convolution.apply(v, weight, None, ctx.geometry) if ctx.needs_input_grad[0] else None,
            WeightGradient.apply(v, grad, ctx.geometry, tuple(weight.shape[2:]))
            if ctx.needs_input_grad[1]
            else None,
            None,
            None,
        )


class WeightGradient(torch.autograd.Function):
    """`∂L/∂W[i] = Σ_p G[p] x[p·s + i·d − P]`: the transposed matrix of columns times the gradient."""

    @staticmethod
    @as_given
    def forward(
        ctx: Any, x: Tensor, grad: Tensor, geometry: ConvGeometry, kernel_size: tuple[int, int]
    ) -> Tensor:
        """Columns again, this time transposed."""
        ctx.save_for_backward(x, grad)
        ctx.geometry = geometry
        stride, offset, dilation, groups, _ = geometry
        result: Tensor = weight_gradient(x, grad, kernel_size, stride, offset, dilation, groups)
        return result

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """For v of W's shape: ∂/∂x[q] = Σ_i v[i] G[(q + P − i·d) / s], ∂/∂G = x ∗ v."""
        x, grad = ctx.saved_tensors
        return (
            InputGradient.apply(grad, v, ctx.geometry, tuple(x.shape[2:]))
            if ctx.needs_input_grad[0]
            else None,
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
        ValueError: if the sizes or dtypes do not fit or no window fits.

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
    x, weight, bias = for_product(x), for_product(weight), for_product(bias)
    if any(t.dtype != x.dtype for t in (weight, bias) if t is not None):
        kinds = ", ".join(str(t.dtype).removeprefix("torch.") for t in (x, weight, bias) if t is not None)
        raise ValueError(f"x, weight and bias must have one dtype; got {kinds}")
    geometry = ConvGeometry(s, (top, left), d, groups, size)
    match asked(engine) or _fastest(x, weight, geometry):
        case "reference":
            kernel, b = to_lesson(weight, (2, 3, 1, 0)), vector(bias)
            return each_picture(
                lambda picture: reference.conv2d(picture, kernel, b, s, padding, d, groups),
                x,
                weight.shape[0],
                size,
            )
        case "handmade":
            return Convolution.apply(x, weight, bias, geometry)
        case "strips":
            return StripConvolution.apply(x, weight, bias, top)
        case "native":
            if (top, left) != (bottom, right):
                x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
            return F.conv2d(x, weight, bias, s, (top, left), d, groups)


def _fastest(x: Tensor, weight: Tensor, geometry: ConvGeometry) -> Engine | Literal["strips"]:
    """What the benchmark (`plusx bench ops convolution`) says is the fastest way for these sizes."""
    watched = is_traced() and not torch.compiler.is_compiling()
    if watched or torch.compiler.is_exporting():
        return "native"  # what is recorded is for places without plusx, and for batches of any size
    stride, offset, dilation, groups, size = geometry
    C_out, K = weight.shape[0], weight.shape[2:]
    suits = winograd.suits(x, C_out, K, size, stride, offset, dilation, groups)
    # A subclass may not know our operation, and knows PyTorch's.
    if suits and type(x) in PLAIN and type(weight) in PLAIN and winograd.pays(x, C_out, size):
        return "handmade"
    plain = {*stride, *dilation, groups} == {1} and offset[0] == offset[1] and size == tuple(x.shape[2:])
    return "strips" if plain and strips.pays(x, weight, offset[0]) else "native"


def _check(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    if x.dim() != 4 or weight.dim() != 4:
        raise ValueError(
            f"x must be (N, C, H, W), weight (C_out, C_in/groups, K, K); got {x.dim()}-D and {weight.dim()}-D"
        )
    C_out, C_in = weight.shape[0], weight.shape[1]
    if groups < 1 or C_out % groups or x.shape[1] != C_in * groups:
        raise ValueError(
            f"{x.shape[1]} input channels do not fit weight {tuple(weight.shape)} in {groups} groups: "
            f"weight must be (C_out, {x.shape[1]} / groups, K, K) with C_out a multiple of groups"
        )
    if bias is not None and bias.shape != (C_out,):
        raise ValueError(f"bias must be ({C_out},), one for each output channel; got {tuple(bias.shape)}")
