"""Batch normalisation (Ioffe and Szegedy 2015)."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from plusx.ops import reference
from plusx.ops.activation import Activation, activate, check_activation
from plusx.ops.engines import Engine, asked, resolve
from plusx.ops.lesson_layout import from_lesson, to_lesson, vector
from plusx.ops.normalisation import fused
from plusx.ops.normalisation.fused import FusedNormalisation
from plusx.ops.normalisation.plain import Normalisation, statistics_of
from plusx.ops.normalisation.shared import SharedNormalisation, shared_statistics
from plusx.ops.precision import accumulation_dtype


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
    shared: bool = False,
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
        shared: in training, take the statistics from the x of all processes of `torch.distributed`, which all
            have to call this, with as many channels; it is computed by hand, whichever the engine.
        engine: see `plusx.ops.engine`.

    Returns:
        The shape of x, and its dtype, or that of `added` if it is wider.

    Raises:
        ValueError: if training has a single value in a channel, evaluation has no running statistics, one of
            them, weight or bias is not (C,), `added` has not the shape of x, or there is no such activation.

    >>> batch_norm(torch.tensor([[1.0], [3.0]]), None, None, training=True).round().tolist()
    [[-1.0], [1.0]]
    """
    _check(x, added, running_mean, running_var, weight, bias)
    check_activation(activation)
    if training and shared:
        with torch.no_grad():
            mean, variance, count = shared_statistics(x)
            _move_running(running_mean, running_var, mean, variance, count, momentum)
        y = SharedNormalisation.apply(x, weight, bias, mean, variance, eps, count)
        return _finish(y, added, activation, resolve(engine, "handmade"))
    values = x.numel() // max(1, x.shape[1])
    if training and values == 1:
        raise ValueError(
            f"training needs more than 1 value for each channel; got input of shape {tuple(x.shape)}"
        )
    if not training and (running_mean is None or running_var is None):
        raise ValueError("evaluation needs running_mean and running_var")
    in_one_pass = asked(engine) != "native" and fused.suits(x, added)
    chosen = resolve(engine, "handmade" if in_one_pass and fused.pays(x) else "native")
    match chosen:
        case "reference":
            mean, variance = _statistics(x, running_mean, running_var, training, momentum, chosen)
            pictures = to_lesson(_as_pictures(x), (0, 2, 3, 1))
            output = reference.batch_norm(
                pictures, to_lesson(mean), to_lesson(variance), vector(weight), vector(bias), eps
            )
            y = from_lesson(output, x, (0, 3, 1, 2)).reshape(x.shape)
        case "handmade":
            mean, variance = _statistics(x, running_mean, running_var, training, momentum, chosen)
            if in_one_pass:
                given = (x, weight, bias, added, mean, variance, eps, training, activation)
                return FusedNormalisation.apply(*given)
            y = Normalisation.apply(x, weight, bias, mean, variance, eps, values if training else None)
        case "native":
            if weight is None and bias is not None:
                weight = torch.ones_like(bias)  # cuDNN's gradients want both or none
            y = F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    return _finish(y, added, activation, chosen)


def _check(x: Tensor, added: Tensor | None, *by_channel: Tensor | None) -> None:
    if x.dim() < 2:
        raise ValueError(f"x must be (N, C, …); got {tuple(x.shape)}")
    if added is not None and added.shape != x.shape:
        raise ValueError(f"added must be of the shape of x, {tuple(x.shape)}; got {tuple(added.shape)}")
    for v in by_channel:
        if v is not None and v.shape != x.shape[1:2]:
            raise ValueError(
                f"running statistics, weight and bias must be ({x.shape[1]},) for x {tuple(x.shape)}; "
                f"got {tuple(v.shape)}"
            )


def _statistics(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    engine: Engine,
) -> tuple[Tensor, Tensor]:
    """Mean and variance to normalise with: the running ones, or the batch's, towards which those move."""
    if not training and running_mean is not None and running_var is not None:
        wide = accumulation_dtype(x)
        # Copies: a step in training may move the running ones before the backward pass of this one.
        return running_mean.to(wide, copy=True), running_var.to(wide, copy=True)
    with torch.no_grad():
        mean, variance = _batch_statistics(x, engine)
        _move_running(running_mean, running_var, mean, variance, x.numel() // max(1, x.shape[1]), momentum)
    return mean, variance


def _move_running(
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


def _finish(y: Tensor, added: Tensor | None, activation: Activation, engine: str) -> Tensor:
    """What follows a normalisation: add the shortcut, activate."""
    return activate(y if added is None else y + added, activation, engine=engine)


def _as_pictures(x: Tensor) -> Tensor:
    """(N, C, …) → (N, C, H, 1)."""
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]), 1)


def _batch_statistics(x: Tensor, engine: str) -> tuple[Tensor, Tensor]:
    if engine == "handmade" or x.numel() == 0:  # of no values the lesson's sum has no mean
        return fused.statistics(x) if fused.suits(x, None) else statistics_of(x)
    mean, variance = reference.batch_statistics(to_lesson(_as_pictures(x), (0, 2, 3, 1)))
    return torch.from_numpy(mean).to(x.device), torch.from_numpy(variance).to(x.device)
