"""Batch normalisation (Ioffe and Szegedy 2015)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from plusx.ops import reference
from plusx.ops.engines import resolve
from plusx.ops.precision import as_given


def _all_but_channels(x: Tensor) -> list[int]:
    return [axis for axis in range(x.dim()) if axis != 1]


def _by_channel(v: Tensor, x: Tensor) -> Tensor:
    """Shape (C,) so that it meets the channels of x."""
    return v.reshape(1, -1, *[1] * (x.dim() - 2))


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and (biased) variance of each channel, in float32 at least."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    axes = _all_but_channels(x)
    mean = wide.mean(axes)
    return mean, (wide - _by_channel(mean, x)).square().mean(axes)


class Normalise(torch.autograd.Function):
    """`y = w · x̂ + b` with `x̂ = (x − μ) · r` and `r = 1 / √(σ² + ε)`.

    With G = ∂L/∂y and sums over the m values of a channel, in both modes

        ∂L/∂b = Σ G        ∂L/∂w = Σ G · x̂

    In evaluation μ and σ² are constants: `∂L/∂x = w · r · G`. In training they depend on every x of the channel:
    `∂μ/∂x = 1/m` and `∂r/∂x = −r² · x̂ / m`, so `∂x̂_k/∂x_l = r · ([k = l] − 1/m − x̂_k · x̂_l / m)` and

        ∂L/∂x = w · r · (G − mean(G) − x̂ · mean(G · x̂))
    """

    @staticmethod
    @as_given
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, eps: float,
        training: bool,
    ) -> Tensor:
        """One multiplication and one addition a value."""
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps, ctx.training = eps, training
        scale = (variance + eps).rsqrt()
        if weight is not None:
            scale = scale * weight
        shift = -mean * scale
        if bias is not None:
            shift = shift + bias
        return (x * _by_channel(scale, x) + _by_channel(shift, x)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The formulas above, from operations that can be differentiated once more."""
        return Normalise.gradients(grad, *ctx.saved_tensors, ctx)

    @staticmethod
    @as_given
    def gradients(
        grad: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, variance: Tensor, ctx: Any
    ) -> tuple[Tensor | None, ...]:
        """Compute the gradients that are needed."""
        if torch.is_grad_enabled() and ctx.training:
            # Somebody will differentiate this result: then mean and variance must be known as functions of x.
            mean, variance = _statistics(x)
        axes = _all_but_channels(x)
        m = x.numel() // x.shape[1]
        r = (variance + ctx.eps).rsqrt()
        xhat = (x - _by_channel(mean, x)) * _by_channel(r, x)
        sum_g = grad.sum(axes, dtype=mean.dtype)
        sum_gx = (grad * xhat).sum(axes)
        dx = None
        if ctx.needs_input_grad[0]:
            inner = grad - _by_channel(sum_g / m, x) - xhat * _by_channel(sum_gx / m, x) if ctx.training else grad
            dx = (inner * _by_channel(r if weight is None else r * weight, x)).to(x.dtype)
        dw = sum_gx.to(weight.dtype) if weight is not None and ctx.needs_input_grad[1] else None
        db = sum_g.to(mean.dtype) if ctx.needs_input_grad[2] else None
        return dx, dw, db, None, None, None, None


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    engine: str | None = None,
) -> Tensor:
    """Give each channel mean 0 and variance 1, then scale and shift it.

    Args:
        x: (N, C, …).
        running_mean: (C,); used in evaluation, moved towards the batch's mean in training; None in training only.
        running_var: (C,), the same with the unbiased variance.
        weight: (C,) or None for 1.
        bias: (C,) or None for 0.
        training: normalise with the batch's own statistics, not with the running ones.
        momentum: how far the running statistics move, 0 … 1.
        eps: added to the variance.
        engine: see `plusx.ops.engine`.

    Returns:
        The shape and dtype of x.

    Raises:
        ValueError: if training has a single value in a channel, or evaluation has no running statistics.

    >>> batch_norm(torch.tensor([[1.0], [3.0]]), None, None, training=True, eps=0.0).tolist()
    [[-1.0], [1.0]]
    """
    values = x.numel() // x.shape[1] if x.shape[1] else 0
    if training and values == 1:
        raise ValueError(f"training needs more than 1 value for each channel; got input of shape {tuple(x.shape)}")
    if not training and (running_mean is None or running_var is None):
        raise ValueError("evaluation needs running_mean and running_var")
    match resolve(engine, "native"):
        case "reference":
            return reference.on_tensors(
                reference.batched_batch_norm, x, running_mean, running_var, weight, bias, training, momentum, eps
            )
        case "native":
            return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
        case "handmade":
            if not training:
                return Normalise.apply(x, weight, bias, running_mean, running_var, eps, False)
            with torch.no_grad():
                mean, variance = _statistics(x)
                if running_mean is not None:
                    running_mean.lerp_(mean.to(running_mean.dtype), momentum)
                if running_var is not None:
                    running_var.lerp_((variance * (values / (values - 1))).to(running_var.dtype), momentum)
            return Normalise.apply(x, weight, bias, mean, variance, eps, True)
