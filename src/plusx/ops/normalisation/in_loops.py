"""Normalisation, shortcut and activation on the processor: the compiled loops, shared among its cores.

Channels-last pictures go through `pixel_loops`, contiguous ones plane by plane through `plane_loops`.

All take pictures (N, C, H, W), and factors (C,) in the precision to compute in.
"""

import math
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plusx.ops.activation import ACTIVATIONS, Activation
from plusx.ops.loops import as_array, as_pictures, layout_of
from plusx.ops.normalisation import pixel_loops, plane_loops
from plusx.ops.parts import Known, known, parts
from plusx.ops.precision import accumulation_dtype

FAR = 0.01
"""The variance as a share of the mean square, below which the sums begin anew, from the mean."""
ROW = 1024
"""Numbers in a row of channels side by side: entering a loop costs as much as a few dozen of them."""


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel, in float32 at least."""
    # Deviations from some number of the channel's own: where the mean is large, squares of x would cancel.
    origin = x[0, :, 0, 0].to(accumulation_dtype(x)).contiguous()
    values = x.numel() // x.shape[1]
    first, second = sums(x, origin) / values
    variance = second - first * first
    if (variance < FAR * second).any():  # it was no number like the others
        origin = (origin + first).to(origin.dtype)
        first, second = sums(x, origin) / values
        variance = second - first * first
    return (origin + first).to(origin.dtype), variance.clamp(min=0).to(origin.dtype)


def forward(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    added: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    activation: Activation,
) -> Tensor:
    """f(x · scale + shift + added): a multiplication, one or two sums and the activation for each number."""
    scale, shift = (v.to(mean.dtype) for v in _scale_and_shift(weight, bias, mean, variance, eps))
    return transform(x, added, scale, shift, activation)


def backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    added: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    training: bool,
    activation: Activation,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The gradients of x, weight, bias and added, that of x as scale · G − slope · x + constant with

    slope = w·r² · mean(G · x̂)  and  constant = μ · slope − w·r · mean(G).
    """
    scale, shift = _scale_and_shift(weight, bias, mean, variance, eps)
    narrow = scale.to(mean.dtype), shift.to(mean.dtype)
    G, Gx = gradient_sums(grad, x, added, *narrow, mean, activation)
    r = (variance.double() + eps).rsqrt()
    Gx = Gx * r
    slope, constant = torch.zeros_like(scale), torch.zeros_like(scale)
    if training:
        values = x.numel() // x.shape[1]
        slope = scale * r * Gx / values
        constant = mean * slope - scale * G / values
    line = slope.to(mean.dtype), constant.to(mean.dtype)
    dx, passed = input_gradient(grad, x, added, *narrow, *line, activation)
    return dx, Gx, G, passed


def _scale_and_shift(
    weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """w · r and b − μ · w · r, in float64."""
    r = (variance.double() + eps).rsqrt()
    scale = r if weight is None else r * weight.detach()
    return scale, -mean * scale if bias is None else bias.detach() - mean * scale


def sums(x: Tensor, origin: Tensor) -> Tensor:
    """Σ (x − origin) and Σ (x − origin)² of each channel: (2, C) float64."""
    loops, pixels = _loops(x)
    rows, factors = _rows(x, pixels), _factors(pixels, origin)
    total = np.zeros((parts(rows), 2, factors.shape[1]))
    loops.sums(len(total), rows, factors[0], total)
    return _by_channel(total, x)


def transform(
    x: Tensor, added: Tensor | None, scale: Tensor, shift: Tensor, activation: Activation
) -> Tensor:
    """f(x · scale + shift + added)."""
    y = _empty(x)
    loops, pixels = _loops(x)
    rows, other, out = (_rows(t, pixels) for t in (x, added, y))
    loops.transform(parts(rows), rows, other, _known(activation), _factors(pixels, scale, shift), out)
    return y


def gradient_sums(
    grad: Tensor,
    x: Tensor,
    added: Tensor | None,
    scale: Tensor,
    shift: Tensor,
    mean: Tensor,
    activation: Activation,
) -> Tensor:
    """Σ G and Σ G · (x − mean) of each channel, G = f'(x · scale + shift + added) · grad: (2, C) float64."""
    loops, pixels = _loops(x)
    rows, g, other = (_rows(t, pixels) for t in (x, grad, added))
    factors = _factors(pixels, scale, shift, mean)
    total = np.zeros((parts(rows), 2, factors.shape[1]))
    loops.gradient_sums(len(total), rows, g, other, _known(activation), factors, total)
    return _by_channel(total, x)


def input_gradient(
    grad: Tensor,
    x: Tensor,
    added: Tensor | None,
    scale: Tensor,
    shift: Tensor,
    slope: Tensor,
    constant: Tensor,
    activation: Activation,
) -> tuple[Tensor, Tensor | None]:
    """scale · G − slope · x + constant, and G itself if there is anything added."""
    dx, passed = _empty(x), None if added is None else _empty(x)
    loops, pixels = _loops(x)
    rows, g, other, d, p = (_rows(t, pixels) for t in (x, grad, added, dx, passed))
    factors = _factors(pixels, scale, shift, slope, constant)
    loops.input_gradient(parts(rows), rows, g, other, _known(activation), factors, d, p)
    return dx, passed


def _loops(x: Tensor) -> tuple[ModuleType, int]:
    """The loops for pictures that lie like x, and how many pixels are in a row of theirs; 0 for a plane's."""
    if layout_of(x) != torch.channels_last:
        return plane_loops, 0
    return pixel_loops, math.gcd(x.numel() // x.shape[1], _power_of_two(ROW // x.shape[1]))


def _empty(x: Tensor) -> Tensor:
    """Room for numbers that lie as the loops read those of x: of x in odd strides they read a copy."""
    return torch.empty_like(x, memory_format=layout_of(x))


def _rows(x: Tensor | None, pixels: int) -> Any:
    """(N, C, H, W) → (rows, pixels · C), or the planes (N · C, H · W); a view if x lies so."""
    if x is None:
        return None
    if not pixels:
        return as_pictures(x, torch.contiguous_format)
    plain = x.detach().contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    return as_array(plain.reshape(-1, pixels * x.shape[1]))


def _power_of_two(n: int) -> int:
    """The largest one that is not above n; 1 for n < 1."""
    return 1 << max(0, n.bit_length() - 1)


def _known(activation: Activation) -> Known:
    return known(ACTIVATIONS.index(activation))


def _factors(pixels: int, *by_channel: Tensor) -> NDArray[Any]:
    """Factors for each channel → (factors, pixels · C): one for each number of a row; or (factors, C)."""
    return np.tile(torch.stack(by_channel).detach().numpy(), max(1, pixels))


def _by_channel(total: NDArray[Any], x: Tensor) -> Tensor:
    """Sums (parts, 2, pixels · C) over rows → (2, C)."""
    return torch.from_numpy(total.sum(0).reshape(2, -1, x.shape[1]).sum(1))
