"""Batch normalisation as its formula says, and its gradient."""

from typing import Any

import torch
from torch import Tensor

from plusx.ops.chunks import chunks
from plusx.ops.precision import accumulation_dtype, as_given


def _axes(x: Tensor) -> list[int]:
    """Return the axes that one channel extends over: all but the second."""
    return [axis for axis in range(x.dim()) if axis != 1]


def _per_channel(v: Tensor, x: Tensor) -> Tensor:
    """Shape (C,) so that it meets the channels of x."""
    return v.reshape(1, -1, *[1] * (x.dim() - 2))


def statistics_of(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance (divided by the number of values) of each channel, in float32 at least.

    Reads x once. A chunk of n values with mean m and variance v adds n/N · (v + (m − μ)²) to the variance of
    all N: both terms are squares, so nothing cancels.
    """
    axes, wide = _axes(x), accumulation_dtype(x)
    shares, means, variances = [], [], []
    for chunk in chunks(x):
        part = x[chunk].to(wide)
        mean = part.mean(axes)
        shares.append(len(part) / max(1, len(x)))
        means.append(mean)
        variances.append((part - _per_channel(mean, x)).square().mean(axes))
    share, m = torch.tensor(shares, dtype=wide, device=x.device)[:, None], torch.stack(means)
    mean = (share * m).sum(0)
    return mean, (share * (torch.stack(variances) + (m - mean).square())).sum(0)


class Normalisation(torch.autograd.Function):
    """`y = w · x̂ + b` with `x̂ = (x − μ) · r` and `r = 1 / √(σ² + ε)`.

    With G = ∂L/∂y and sums over the m values of a channel, in both modes

        ∂L/∂b = Σ G        ∂L/∂w = Σ G · x̂

    In evaluation μ and σ² are constants: `∂L/∂x = w · r · G`. In training they depend on the whole channel:
    `∂μ/∂x = 1/m` and `∂r/∂x = −r² · x̂ / m`, so `∂x̂_k/∂x_l = r · ([k = l] − 1/m − x̂_k · x̂_l / m)` and

        ∂L/∂x = w · r · (G − mean(G) − x̂ · mean(G · x̂))
    """

    @staticmethod
    @as_given
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        count: int | None,
    ) -> Tensor:
        """One multiplication and one addition for each value.

        `count` is how many values μ and σ² are of; None in evaluation, where they are constants.
        """
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps, ctx.count = eps, count
        scale = (variance + eps).rsqrt() if weight is None else (variance + eps).rsqrt() * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        scale, shift = _per_channel(scale, x), _per_channel(shift, x)
        y = torch.empty_like(x)
        for chunk in chunks(x):
            y[chunk] = x[chunk] * scale + shift
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The formulas above, from operations that can be differentiated once more."""
        x, weight, mean, variance = ctx.saved_tensors
        if ctx.count is not None and torch.is_grad_enabled():
            # Somebody will differentiate this gradient: then μ and σ² must be known as functions of x.
            mean, variance = statistics_of(x)
        G, Gx = channel_sums(grad, x, mean, variance, ctx.eps)
        means = None if ctx.count is None else (G / ctx.count, Gx / ctx.count)
        dx = input_gradient(grad, x, weight, mean, variance, ctx.eps, means)
        needed = ctx.needs_input_grad
        of_weight, of_bias = Gx if needed[1] else None, G if needed[2] else None
        return dx if needed[0] else None, of_weight, of_bias, None, None, None, None


@as_given
def channel_sums(
    grad: Tensor, x: Tensor, mean: Tensor, variance: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """`Σ G` and `Σ G · x̂` of each channel."""
    axes, centre = _axes(x), _per_channel(mean, x)
    G, Gx = torch.zeros_like(mean), torch.zeros_like(mean)
    for chunk in chunks(x):
        part = grad[chunk].to(mean.dtype)
        G = G + part.sum(axes)
        Gx = Gx + (part * (x[chunk] - centre)).sum(axes)
    return G, Gx * (variance + eps).rsqrt()


@as_given
def input_gradient(
    grad: Tensor,
    x: Tensor,
    weight: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    means: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """∂L/∂x; `means` are mean(G) and mean(G · x̂) in training, None in evaluation."""
    r = (variance + eps).rsqrt()
    scale = _per_channel(r if weight is None else r * weight, x)
    dx = torch.empty_like(x)
    if means is None:
        for chunk in chunks(x):
            dx[chunk] = scale * grad[chunk]
        return dx
    mean_g, slope, centre = _per_channel(means[0], x), _per_channel(r * means[1], x), _per_channel(mean, x)
    for chunk in chunks(x):
        dx[chunk] = scale * (grad[chunk] - mean_g - (x[chunk] - centre) * slope)
    return dx
