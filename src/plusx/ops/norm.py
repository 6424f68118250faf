"""Batch normalisation (Ioffe and Szegedy 2015)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from plusx.ops import norm_fused, reference
from plusx.ops.activation import Activation, activate
from plusx.ops.chunks import chunks
from plusx.ops.engines import resolve
from plusx.ops.lesson_layout import from_lesson, to_lesson, vector
from plusx.ops.norm_fused import FusedNormalisation
from plusx.ops.precision import as_given


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
    axes, wide = _axes(x), torch.promote_types(x.dtype, torch.float32)
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
        training: bool,
    ) -> Tensor:
        """One multiplication and one addition for each value."""
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps, ctx.training = eps, training
        return normalised(x, weight, bias, mean, variance, eps)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The formulas above, from operations that can be differentiated once more."""
        x, weight, mean, variance = ctx.saved_tensors
        if ctx.training and torch.is_grad_enabled():
            # Somebody will differentiate this gradient: then μ and σ² must be known as functions of x.
            mean, variance = statistics_of(x)
        dx, dw, db = _gradients(grad, x, weight, mean, variance, ctx.eps, ctx.training)
        needed = ctx.needs_input_grad
        return (
            dx if needed[0] else None,
            dw if needed[1] else None,
            db if needed[2] else None,
            None,
            None,
            None,
            None,
        )


@as_given
def _gradients(
    grad: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, variance: Tensor, eps: float, training: bool
) -> tuple[Tensor, Tensor, Tensor]:
    m = x.numel() // x.shape[1]
    G, Gx = channel_sums(grad, x, mean, variance, eps)
    dx = input_gradient(grad, x, weight, mean, variance, eps, (G / m, Gx / m) if training else None)
    return dx, Gx, G


def normalised(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, eps: float
) -> Tensor:
    """`w · (x − μ) · r + b` as one multiplication and one addition for each value."""
    scale = (variance + eps).rsqrt() if weight is None else (variance + eps).rsqrt() * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    scale, shift = _per_channel(scale, x), _per_channel(shift, x)
    y = torch.empty_like(x)
    for chunk in chunks(x):
        y[chunk] = x[chunk] * scale + shift
    return y


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
    added: Tensor | None = None,
    activation: Activation = "identity",
    engine: str | None = None,
) -> Tensor:
    """Give each channel mean 0 and variance 1, then scale and shift it.

    What follows a normalisation in a residual block can be done in the same pass: `f(bn(x) + added)`.

    Args:
        x: (N, C, …).
        running_mean: (C,); used in evaluation; in training moved towards the batch's mean, or None.
        running_var: (C,), the same with the unbiased variance.
        weight: (C,) or None for 1.
        bias: (C,) or None for 0.
        training: normalise with the batch's own statistics, not with the running ones.
        momentum: how far the running statistics move, 0 … 1.
        eps: added to the variance.
        added: the shortcut, of the shape of x, or None.
        activation: what to end with: "identity", "relu" or "hardswish".
        engine: see `plusx.ops.engine`.

    Returns:
        The shape and dtype of x.

    Raises:
        ValueError: if training has a single value in a channel, or evaluation has no running statistics.

    >>> batch_norm(torch.tensor([[1.0], [3.0]]), None, None, training=True).round().tolist()
    [[-1.0], [1.0]]
    """
    values = x.numel() // max(1, x.shape[1])
    if training and values == 1:
        raise ValueError(
            f"training needs more than 1 value for each channel; got input of shape {tuple(x.shape)}"
        )
    if not training and (running_mean is None or running_var is None):
        raise ValueError("evaluation needs running_mean and running_var")
    fused = norm_fused.suits(x, added)
    chosen = resolve(engine, "handmade" if fused else "native")
    if chosen == "native":
        y = F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
        return finish(y, added, activation, chosen)
    if training:
        with torch.no_grad():
            mean, variance = _batch_statistics(x, chosen)
            move_running(running_mean, running_var, mean, variance, values, momentum)
    else:
        assert running_mean is not None
        assert running_var is not None
        mean, variance = running_mean, running_var
    if chosen == "handmade" and fused:
        return FusedNormalisation.apply(x, weight, bias, added, mean, variance, eps, training, activation)
    if chosen == "handmade":
        y = Normalisation.apply(x, weight, bias, mean, variance, eps, training)
        return finish(y, added, activation, chosen)
    pictures = to_lesson(_as_pictures(x), (0, 2, 3, 1))
    output = reference.batch_norm(
        pictures, to_lesson(mean), to_lesson(variance), vector(weight), vector(bias), eps
    )
    return finish(from_lesson(output, x, (0, 3, 1, 2)).reshape(x.shape), added, activation, chosen)


def move_running(
    running_mean: Tensor | None,
    running_var: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    values: int,
    momentum: float,
) -> None:
    """Move the running statistics towards those of a batch of so many values, with the unbiased variance."""
    unbiased = variance * (values / max(1, values - 1))
    for running, new in ((running_mean, mean), (running_var, unbiased)):
        if running is not None and values:
            running.lerp_(new.to(running.dtype), momentum)


def finish(y: Tensor, added: Tensor | None, activation: Activation, engine: str) -> Tensor:
    """What follows a normalisation: add the shortcut, activate."""
    return activate(y if added is None else y + added, activation, engine=engine)


def _as_pictures(x: Tensor) -> Tensor:
    """(N, C, …) → (N, C, H, 1)."""
    return x.reshape(x.shape[0], x.shape[1], -1, 1)


def _batch_statistics(x: Tensor, engine: str) -> tuple[Tensor, Tensor]:
    if engine == "handmade":
        return norm_fused.statistics(x) if norm_fused.suits(x, None) else statistics_of(x)
    mean, variance = reference.batch_statistics(to_lesson(_as_pictures(x), (0, 2, 3, 1)))
    return torch.from_numpy(mean).to(x.device), torch.from_numpy(variance).to(x.device)
