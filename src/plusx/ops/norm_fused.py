"""Batch normalisation, the shortcut's sum and the activation in one pass each way (channels-last)."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plusx.ops.activation import Activation, activate
from plusx.ops.cores import share
from plusx.ops.loops import as_array, serve
from plusx.ops.norm_loops import norm_loops, sums
from plusx.ops.norm_plain import Normalisation
from plusx.ops.precision import as_given

ROW = 1024
"""Numbers in a row of the loops."""


def suits(x: Tensor, added: Tensor | None) -> bool:
    """Whether the compiled loops take this: plain channels-last pictures on the processor, one dtype."""
    if x.dim() != 4 or x.numel() == 0 or not x.is_contiguous(memory_format=torch.channels_last):
        return False
    others = [] if added is None else [added]
    return serve(x, *others) and all(other.dtype == x.dtype and other.shape == x.shape for other in others)


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance (divided by the number of values) of each channel, in float32 at least."""
    rows, origin = _rows(x), _wide(x[0, :, 0, 0]).numpy()
    start = np.tile(origin, rows.shape[1] // len(origin))
    total = sum(share(lambda part: sums(rows[part], start), len(rows)))
    first, second = _by_channel(total, x) / (x.numel() // x.shape[1])
    mean, variance = origin + first, np.maximum(second - first * first, 0)
    return torch.from_numpy(mean.astype(origin.dtype)), torch.from_numpy(variance.astype(origin.dtype))


class FusedNormalisation(torch.autograd.Function):
    """`y = f(v)` with `v = w · (x − μ) · r + b + added` and r = 1 / √(σ² + ε); f is an activation.

    With G = ∂L/∂v = f'(v) · ∂L/∂y, ∂L/∂added = G, and the rest is that of
    `plusx.ops.norm_plain.Normalisation`, written for one pass:

        ∂L/∂x = w·r · G − (x − μ) · w·r² · mean(G · x̂) − w·r · mean(G)
    """

    @staticmethod
    @as_given
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        added: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        training: bool,
        activation: Activation,
    ) -> Tensor:
        """A multiplication, one or two sums and the activation for each value."""
        y = torch.empty_like(x)
        rows, other, out = _rows(x), None if added is None else _rows(added), _rows(y)
        factors = _factors(rows, *_scale_and_shift(weight, bias, mean, variance, eps), like=mean)
        transform, _, _ = norm_loops(activation)

        def work(part: slice) -> None:
            transform(rows[part], None if other is None else other[part], factors, out[part])

        share(work, len(rows))
        ctx.save_for_backward(x, weight, bias, added, mean, variance)
        ctx.eps, ctx.training, ctx.activation = eps, training, activation
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The formulas above; to be differentiated once more, those of the single operations."""
        x, weight, bias, added, mean, variance = ctx.saved_tensors
        if torch.is_grad_enabled():
            return (*_gradients_of_the_parts(ctx, grad), None, None, None, None, None)
        g, rows, other = _rows(grad), _rows(x), None if added is None else _rows(added)
        _, gradient_sums, input_gradient = norm_loops(ctx.activation)
        scale, shift = _scale_and_shift(weight, bias, mean, variance, ctx.eps)
        factors = _factors(rows, scale, shift, mean, like=mean)

        def both_sums(part: slice) -> Any:
            return gradient_sums(g[part], rows[part], None if other is None else other[part], factors)

        G, Gx = torch.from_numpy(_by_channel(sum(share(both_sums, len(rows))), x))
        r = (variance.double() + ctx.eps).rsqrt()
        Gx = Gx * r
        zero, values = torch.zeros_like(r), x.numel() // x.shape[1]
        slope = scale.double() * r * Gx / values if ctx.training else zero
        constant = mean.double() * slope - scale.double() * G / values if ctx.training else zero
        factors = _factors(rows, scale, shift, slope, constant, like=mean)
        dx, passed = torch.empty_like(x), None if added is None else torch.empty_like(x)
        d, p = _rows(dx), None if passed is None else _rows(passed)

        def work(part: slice) -> None:
            with_added = (None, None) if other is None or p is None else (other[part], p[part])
            input_gradient(g[part], rows[part], with_added[0], factors, d[part], with_added[1])

        share(work, len(rows))
        parameter_gradients = [None if w is None else v.to(w.dtype) for v, w in ((Gx, weight), (G, bias))]
        return (dx, *parameter_gradients, passed, None, None, None, None, None)


def _scale_and_shift(
    weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """w · r and b − μ · w · r."""
    r = (variance.double() + eps).rsqrt()
    scale = r if weight is None else r * weight.detach()
    return scale, -mean * scale if bias is None else bias.detach() - mean * scale


def _gradients_of_the_parts(ctx: Any, grad: Tensor) -> list[Tensor | None]:
    """The gradients of x, weight, bias and added, from operations that can be differentiated again."""
    x, weight, bias, added, mean, variance = ctx.saved_tensors
    count = x.numel() // x.shape[1] if ctx.training else None
    v = Normalisation.apply(x, weight, bias, mean, variance, ctx.eps, count)
    y = activate(v if added is None else v + added, ctx.activation, engine="handmade")
    wanted = [v for v in (x, weight, bias, added) if v is not None and v.requires_grad]
    found = iter(torch.autograd.grad(y, wanted, grad, create_graph=True))
    return [next(found) if v is not None and v.requires_grad else None for v in (x, weight, bias, added)]


def _wide(x: Tensor) -> Tensor:
    return x.detach().to(torch.promote_types(x.dtype, torch.float32)).contiguous()


def _rows(x: Tensor) -> "np.ndarray[Any, Any]":
    """(N, C, H, W) → (rows, pixels · C), a view if x is channels-last.

    Several pixels make a row: entering a loop costs as much as a few dozen of its numbers.
    """
    pixels = math.gcd(x.numel() // x.shape[1], _power_of_two(ROW // x.shape[1]))
    plain = x.detach().contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    return as_array(plain.reshape(-1, pixels * x.shape[1]))


def _power_of_two(n: int) -> int:
    """The largest one that is not above n; 1 for n < 1."""
    return 1 << max(0, n.bit_length() - 1)


def _factors(rows: "np.ndarray[Any, Any]", *by_channel: Tensor, like: Tensor) -> "np.ndarray[Any, Any]":
    """Factors for each channel → (factors, pixels · C): one for each number of a row."""
    stacked = torch.stack([v.to(like.dtype) for v in by_channel]).numpy()
    return np.tile(stacked, rows.shape[1] // stacked.shape[1])


def _by_channel(sums: Any, x: Tensor) -> "np.ndarray[Any, Any]":
    """Sums (2, pixels · C) over rows → (2, C)."""
    total: np.ndarray[Any, Any] = sums.reshape(2, -1, x.shape[1]).sum(1)
    return total
