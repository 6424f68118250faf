"""Normalisation, shortcut and activation on a GPU: two Triton kernels each way (see `fused`).

A channels-last picture is a matrix, a row for each pixel and a column for each channel. The sums of the
columns are taken in two steps: each program adds up ROWS rows, and torch adds their sums up in float64.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from plusx.ops.activation import Activation

BLOCK = 256
"""Numbers that a program takes of what is computed number by number."""
TILE = (16, 64)
"""Rows and columns that a program adds up at a time."""
ROWS = 256
"""Rows that a program adds up in all."""


@triton.jit
def _activate(v, ACTIVATION: tl.constexpr):
    if ACTIVATION == "relu":
        return tl.where(v < 0, 0.0, v)  # a NaN stays one
    elif ACTIVATION == "hardswish":
        return v * tl.minimum(tl.maximum(v + 3, 0.0), 6.0) / 6
    else:
        return v


@triton.jit
def _through(g, v, ACTIVATION: tl.constexpr):
    """The gradient before the activation: f'(v) · g."""
    if ACTIVATION == "relu":
        return tl.where(v <= 0, 0.0, g)
    elif ACTIVATION == "hardswish":
        return g * tl.where(v <= -3, 0.0, tl.where(v >= 3, 1.0, (2 * v + 3) / 6))
    else:
        return g


@triton.jit
def _sums(
    x, grad, added, scale, shift, origin, partial, R, C,
    BACKWARD: tl.constexpr, ADDED: tl.constexpr, ACTIVATION: tl.constexpr,
    ROWS: tl.constexpr, TILE_R: tl.constexpr, TILE_C: tl.constexpr,
):  # fmt: skip
    """Forward Σ d and Σ d² with d = x − origin; backward Σ G and Σ G · d."""
    c = tl.program_id(1) * TILE_C + tl.arange(0, TILE_C)
    real_c = c < C
    about = tl.load(origin + c, mask=real_c, other=0)
    first, second = tl.zeros_like(about), tl.zeros_like(about)
    for begin in range(0, ROWS, TILE_R):
        r = tl.program_id(0) * ROWS + begin + tl.arange(0, TILE_R)
        real = (r < R)[:, None] & real_c[None, :]
        place = r[:, None] * C + c[None, :]
        value = tl.load(x + place, mask=real, other=0).to(about.dtype)
        d = tl.where(real, value - about[None, :], 0.0)
        if BACKWARD:
            v = value * tl.load(scale + c, mask=real_c, other=0)[None, :]
            v += tl.load(shift + c, mask=real_c, other=0)[None, :]
            if ADDED:
                v += tl.load(added + place, mask=real, other=0).to(about.dtype)
            G = _through(tl.load(grad + place, mask=real, other=0).to(about.dtype), v, ACTIVATION)
            G = tl.where(real, G, 0.0)
            first += tl.sum(G, 0)
            second += tl.sum(G * d, 0)
        else:
            first += tl.sum(d, 0)
            second += tl.sum(d * d, 0)
    at = partial + tl.program_id(0) * 2 * C + c
    tl.store(at, first, mask=real_c)
    tl.store(at + C, second, mask=real_c)


@triton.jit
def _transform(
    x, added, scale, shift, y, total, C,
    ADDED: tl.constexpr, ACTIVATION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside, c = place < total, place % C
    factor = tl.load(scale + c)
    v = tl.load(x + place, mask=inside, other=0).to(factor.dtype) * factor + tl.load(shift + c)
    if ADDED:
        v += tl.load(added + place, mask=inside, other=0).to(factor.dtype)
    tl.store(y + place, _activate(v, ACTIVATION).to(y.dtype.element_ty), mask=inside)


@triton.jit
def _input_gradient(
    x, grad, added, scale, shift, slope, constant, dx, passed, total, C,
    ADDED: tl.constexpr, ACTIVATION: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside, c = place < total, place % C
    factor = tl.load(scale + c)
    value = tl.load(x + place, mask=inside, other=0).to(factor.dtype)
    v = value * factor + tl.load(shift + c)
    if ADDED:
        v += tl.load(added + place, mask=inside, other=0).to(factor.dtype)
    G = _through(tl.load(grad + place, mask=inside, other=0).to(factor.dtype), v, ACTIVATION)
    d = factor * G - tl.load(slope + c) * value + tl.load(constant + c)
    tl.store(dx + place, d.to(dx.dtype.element_ty), mask=inside)
    if ADDED:
        tl.store(passed + place, G.to(passed.dtype.element_ty), mask=inside)


def sums(x: Tensor, origin: Tensor) -> Tensor:
    """Σ (x − origin) and Σ (x − origin)² of each channel: (2, C) float64."""
    return _add_up(x, None, None, origin, origin, origin, "identity")


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
    return _add_up(x, grad, added, scale, shift, mean, activation)


def transform(
    x: Tensor, added: Tensor | None, scale: Tensor, shift: Tensor, activation: Activation
) -> Tensor:
    """f(x · scale + shift + added)."""
    y = torch.empty_like(x)
    _each(_transform, x, (x, _or(added, x), scale, shift, y), added, activation)
    return y


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
    grad = grad.contiguous(memory_format=torch.channels_last)
    dx, passed = torch.empty_like(x), None if added is None else torch.empty_like(x)
    tensors = (x, grad, _or(added, x), scale, shift, slope, constant, dx, _or(passed, dx))
    _each(_input_gradient, x, tensors, added, activation)
    return dx, passed


def _add_up(
    x: Tensor,
    grad: Tensor | None,
    added: Tensor | None,
    scale: Tensor,
    shift: Tensor,
    origin: Tensor,
    activation: Activation,
) -> Tensor:
    C = x.shape[1]
    R = x.numel() // C
    programs = triton.cdiv(R, ROWS)
    partial = origin.new_empty(programs, 2, C)
    given = x if grad is None else grad.contiguous(memory_format=torch.channels_last)
    with torch.cuda.device_of(x):
        _sums[(programs, triton.cdiv(C, TILE[1]))](
            x,
            given,
            _or(added, x),
            scale,
            shift,
            origin,
            partial,
            R,
            C,
            BACKWARD=grad is not None,
            ADDED=added is not None,
            ACTIVATION=activation,
            ROWS=ROWS,
            TILE_R=TILE[0],
            TILE_C=TILE[1],
        )
    return partial.double().sum(0)


def _each(
    kernel: Any, x: Tensor, tensors: tuple[Tensor, ...], added: Tensor | None, activation: Activation
) -> None:
    """Launch a kernel over all numbers of x."""
    with torch.cuda.device_of(x):
        kernel[(triton.cdiv(x.numel(), BLOCK),)](
            *tensors,
            x.numel(),
            x.shape[1],
            ADDED=added is not None,
            ACTIVATION=activation,
            BLOCK=BLOCK,
        )


def _or(tensor: Tensor | None, other: Tensor) -> Tensor:
    """A kernel's argument that is not read needs a place all the same."""
    return other if tensor is None else tensor
