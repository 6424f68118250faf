"""Normalisation, shortcut and activation on a GPU: three Triton kernels each way (see `fused`).

A channels-last picture is a matrix, a row for each pixel and a column for each channel. A program takes a
tile of it. Forward: the tiles' sums, their total, the result; backward: the tiles' sums of the gradient, the
gradients of weight and bias, that of x. What is computed is written in the formulas' own letters.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from plusx.ops.activation import Activation
from plusx.ops.precision import accumulation_dtype

TILE = 2048
"""Numbers of a tile: 16 for each thread."""
WIDEST = 64
"""Channels of a tile at most."""
PROGRAMS = 512
"""Programs that share a sum's rows: several for each multiprocessor of a large GPU."""
TOTAL = (128, 16)
"""Sums and channels that a program adds up at a time, when it totals what those have left."""


@triton.jit
def _activate(v, ACTIVATION: tl.constexpr):
    if ACTIVATION == "relu":
        return tl.where(v < 0, 0.0, v)  # a NaN stays one
    elif ACTIVATION == "hardswish":
        return v * tl.minimum(tl.maximum(v + 3, 0.0), 6.0) * (1 / 6)
    else:
        return v


@triton.jit
def _through(g, v, ACTIVATION: tl.constexpr):
    """The gradient before the activation: f'(v) · g."""
    if ACTIVATION == "relu":
        return tl.where(v <= 0, 0.0, g)
    elif ACTIVATION == "hardswish":
        return g * tl.where(v <= -3, 0.0, tl.where(v >= 3, 1.0, (2 * v + 3) * (1 / 6)))
    else:
        return g


@triton.jit
def _channels(mean, variance, weight, bias, eps, c, real, WEIGHT: tl.constexpr, BIAS: tl.constexpr):
    """μ, r, w and b of the channels c, each a row of the tile."""
    m = tl.load(mean + c, mask=real, other=0)
    r = tl.rsqrt(tl.load(variance + c, mask=real, other=1) + eps)
    w, b = tl.zeros_like(m) + 1, tl.zeros_like(m)
    if WEIGHT:
        w = tl.load(weight + c, mask=real, other=0).to(m.dtype)
    if BIAS:
        b = tl.load(bias + c, mask=real, other=0).to(m.dtype)
    return m[None, :], r[None, :], w[None, :], b[None, :]


@triton.jit
def _tile(first_row, R, c, C, TILE_R: tl.constexpr):
    """Where the numbers of a tile are, and which of them there are."""
    r = first_row + tl.arange(0, TILE_R)
    return r[:, None] * C + c[None, :], (r < R)[:, None] & (c < C)[None, :]


@triton.jit
def _sums(
    x, partial, R, C,
    WIDE: tl.constexpr, ROUNDS: tl.constexpr, TILE_R: tl.constexpr, TILE_C: tl.constexpr,
):  # fmt: skip
    """Σ d and Σ d² over some rows, d = x − the channel's first number: squares of x itself would cancel."""
    c = tl.program_id(1) * TILE_C + tl.arange(0, TILE_C)
    origin = tl.load(x + c, mask=c < C, other=0).to(WIDE)[None, :]
    first, second = tl.zeros([TILE_R, TILE_C], WIDE), tl.zeros([TILE_R, TILE_C], WIDE)
    for k in range(ROUNDS):
        place, real = _tile((tl.program_id(0) * ROUNDS + k) * TILE_R, R, c, C, TILE_R)
        d = tl.where(real, tl.load(x + place, mask=real, other=0).to(WIDE) - origin, 0.0)
        first += d
        second += d * d
    at = partial + tl.program_id(0) * 2 * C + c
    tl.store(at, tl.sum(first, 0), mask=c < C)
    tl.store(at + C, tl.sum(second, 0), mask=c < C)


@triton.jit
def _total(partial, programs, c, C, ROUNDS: tl.constexpr, TILE_P: tl.constexpr, TILE_C: tl.constexpr):
    """Both sums over all programs."""
    first, second = tl.zeros([TILE_P, TILE_C], tl.float64), tl.zeros([TILE_P, TILE_C], tl.float64)
    for k in range(ROUNDS):
        p = k * TILE_P + tl.arange(0, TILE_P)
        at, real = partial + p[:, None] * 2 * C + c[None, :], (p < programs)[:, None] & (c < C)[None, :]
        first += tl.load(at, mask=real, other=0).to(tl.float64)
        second += tl.load(at + C, mask=real, other=0).to(tl.float64)
    return tl.sum(first, 0), tl.sum(second, 0)


@triton.jit
def _statistics(
    x, partial, mean, variance, programs, R, C,
    WIDE: tl.constexpr, ROUNDS: tl.constexpr, TILE_P: tl.constexpr, TILE_C: tl.constexpr,
):  # fmt: skip
    c = tl.program_id(0) * TILE_C + tl.arange(0, TILE_C)
    first, second = _total(partial, programs, c, C, ROUNDS, TILE_P, TILE_C)
    first, second = first / R, second / R
    origin = tl.load(x + c, mask=c < C, other=0).to(tl.float64)
    spread = second - first * first
    spread = tl.where(spread < 0, 0.0, spread)  # a NaN stays one
    tl.store(mean + c, (origin + first).to(WIDE), mask=c < C)
    tl.store(variance + c, spread.to(WIDE), mask=c < C)


@triton.jit
def _forward(
    x, added, mean, variance, weight, bias, y, eps, R, C,
    WEIGHT: tl.constexpr, BIAS: tl.constexpr, ADDED: tl.constexpr, ACTIVATION: tl.constexpr,
    TILE_R: tl.constexpr, TILE_C: tl.constexpr,
):  # fmt: skip
    """y = f(w · x̂ + b + added) with x̂ = (x − μ) · r."""
    c = tl.program_id(1) * TILE_C + tl.arange(0, TILE_C)
    m, r, w, b = _channels(mean, variance, weight, bias, eps, c, c < C, WEIGHT, BIAS)
    place, real = _tile(tl.program_id(0) * TILE_R, R, c, C, TILE_R)
    v = (tl.load(x + place, mask=real, other=0).to(m.dtype) - m) * (r * w) + b
    if ADDED:
        v += tl.load(added + place, mask=real, other=0).to(m.dtype)
    tl.store(y + place, _activate(v, ACTIVATION).to(y.dtype.element_ty), mask=real)


@triton.jit
def _gradient_of_sum(x, grad, added, place, real, m, r, w, b, ADDED: tl.constexpr, ACTIVATION: tl.constexpr):
    """x̂ and G = f'(v) · ∂L/∂y of a tile, v being computed anew."""
    normal = (tl.load(x + place, mask=real, other=0).to(m.dtype) - m) * r
    v = w * normal + b
    if ADDED:
        v += tl.load(added + place, mask=real, other=0).to(m.dtype)
    return normal, _through(tl.load(grad + place, mask=real, other=0).to(m.dtype), v, ACTIVATION)


@triton.jit
def _gradient_sums(
    x, grad, added, mean, variance, weight, bias, partial, eps, R, C,
    WIDE: tl.constexpr, ROUNDS: tl.constexpr, WEIGHT: tl.constexpr, BIAS: tl.constexpr,
    ADDED: tl.constexpr, ACTIVATION: tl.constexpr, TILE_R: tl.constexpr, TILE_C: tl.constexpr,
):  # fmt: skip
    """Σ G and Σ G · x̂ over some rows."""
    c = tl.program_id(1) * TILE_C + tl.arange(0, TILE_C)
    m, r, w, b = _channels(mean, variance, weight, bias, eps, c, c < C, WEIGHT, BIAS)
    first, second = tl.zeros([TILE_R, TILE_C], WIDE), tl.zeros([TILE_R, TILE_C], WIDE)
    for k in range(ROUNDS):
        place, real = _tile((tl.program_id(0) * ROUNDS + k) * TILE_R, R, c, C, TILE_R)
        normal, G = _gradient_of_sum(x, grad, added, place, real, m, r, w, b, ADDED, ACTIVATION)
        G = tl.where(real, G, 0.0)
        first += G
        second += tl.where(real, G * normal, 0.0)
    at = partial + tl.program_id(0) * 2 * C + c
    tl.store(at, tl.sum(first, 0), mask=c < C)
    tl.store(at + C, tl.sum(second, 0), mask=c < C)


@triton.jit
def _parameter_gradients(
    partial, dbias, dweight, programs, C,
    WIDE: tl.constexpr, ROUNDS: tl.constexpr, TILE_P: tl.constexpr, TILE_C: tl.constexpr,
):  # fmt: skip
    """∂L/∂b = Σ G and ∂L/∂w = Σ G · x̂."""
    c = tl.program_id(0) * TILE_C + tl.arange(0, TILE_C)
    first, second = _total(partial, programs, c, C, ROUNDS, TILE_P, TILE_C)
    tl.store(dbias + c, first.to(WIDE), mask=c < C)
    tl.store(dweight + c, second.to(WIDE), mask=c < C)


@triton.jit
def _input_gradient(
    x, grad, added, mean, variance, weight, bias, dbias, dweight, dx, passed, eps, R, C,
    TRAINING: tl.constexpr, WEIGHT: tl.constexpr, BIAS: tl.constexpr, ADDED: tl.constexpr,
    ACTIVATION: tl.constexpr, TILE_R: tl.constexpr, TILE_C: tl.constexpr,
):  # fmt: skip
    """∂L/∂x = w · r · (G − ΣG / m − x̂ · ΣG·x̂ / m); in evaluation w · r · G. And G, for the shortcut."""
    c = tl.program_id(1) * TILE_C + tl.arange(0, TILE_C)
    m, r, w, b = _channels(mean, variance, weight, bias, eps, c, c < C, WEIGHT, BIAS)
    place, real = _tile(tl.program_id(0) * TILE_R, R, c, C, TILE_R)
    normal, G = _gradient_of_sum(x, grad, added, place, real, m, r, w, b, ADDED, ACTIVATION)
    if ADDED:
        tl.store(passed + place, G.to(passed.dtype.element_ty), mask=real)
    if TRAINING:
        of_bias = tl.load(dbias + c, mask=c < C, other=0)[None, :] / R
        of_weight = tl.load(dweight + c, mask=c < C, other=0)[None, :] / R
        G = G - of_bias - normal * of_weight
    tl.store(dx + place, (w * r * G).to(dx.dtype.element_ty), mask=real)


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel, in float32 at least."""
    wide = accumulation_dtype(x)
    C, R, partial, rounds = _shares(x, wide)
    mean, variance = (torch.empty(C, dtype=wide, device=x.device) for _ in range(2))
    with torch.cuda.device_of(x):
        _sums[_grid(len(partial), C)](x, partial, R, C, WIDE=_wide(wide), ROUNDS=rounds, **_tiling(C))
        _statistics[_of_totals(C)](x, partial, mean, variance, len(partial), R, C, **_totals(partial))
    return mean, variance


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
    """f(w · x̂ + b + added)."""
    y, C = torch.empty_like(x), x.shape[1]
    given = (x, _or(added, x), *_by_channel(mean, variance, weight, bias), y)
    tiling = _tiling(C)
    with torch.cuda.device_of(x):
        _forward[_grid(triton.cdiv(x.numel() // C, tiling["TILE_R"]), C)](
            *given, eps, x.numel() // C, C, **_choices(weight, bias, added, activation), **tiling
        )
    return y


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
    """The gradients of x, weight, bias and added; those of weight and bias in the dtype of the mean."""
    grad = grad.contiguous(memory_format=torch.channels_last)
    C, R, partial, rounds = _shares(x, mean.dtype)
    dweight, dbias = torch.empty_like(mean), torch.empty_like(mean)
    dx, passed = torch.empty_like(x), None if added is None else torch.empty_like(x)
    given = (x, grad, _or(added, x), *_by_channel(mean, variance, weight, bias))
    choices, tiling = _choices(weight, bias, added, activation), _tiling(C)
    with torch.cuda.device_of(x):
        _gradient_sums[_grid(len(partial), C)](
            *given, partial, eps, R, C, WIDE=_wide(mean.dtype), ROUNDS=rounds, **choices, **tiling
        )
        _parameter_gradients[_of_totals(C)](partial, dbias, dweight, len(partial), C, **_totals(partial))
        _input_gradient[_grid(triton.cdiv(R, tiling["TILE_R"]), C)](
            *given, dbias, dweight, dx, _or(passed, dx), eps, R, C, TRAINING=training, **choices, **tiling
        )
    return dx, dweight, dbias, passed


def _shares(x: Tensor, wide: torch.dtype) -> tuple[int, int, Tensor, int]:
    """Channels, rows, room for the sums of each program, and how many tiles each takes: a power of two."""
    C = x.shape[1]
    R, tile = x.numel() // C, _tiling(C)["TILE_R"]
    rounds = triton.next_power_of_2(triton.cdiv(R, tile * PROGRAMS))
    return C, R, torch.empty(triton.cdiv(R, tile * rounds), 2, C, dtype=wide, device=x.device), rounds


def _tiling(C: int) -> dict[str, int]:
    columns = min(WIDEST, triton.next_power_of_2(C))
    return {"TILE_R": TILE // columns, "TILE_C": columns}


def _grid(rows: int, C: int) -> tuple[int, int]:
    return rows, triton.cdiv(C, _tiling(C)["TILE_C"])


def _of_totals(C: int) -> tuple[int]:
    return (triton.cdiv(C, TOTAL[1]),)


def _totals(partial: Tensor) -> dict[str, Any]:
    rounds = triton.next_power_of_2(triton.cdiv(len(partial), TOTAL[0]))
    return {"WIDE": _wide(partial.dtype), "ROUNDS": rounds, "TILE_P": TOTAL[0], "TILE_C": TOTAL[1]}


def _choices(
    weight: Tensor | None, bias: Tensor | None, added: Tensor | None, activation: Activation
) -> dict[str, Any]:
    given = {"WEIGHT": weight is not None, "BIAS": bias is not None, "ADDED": added is not None}
    return {**given, "ACTIVATION": activation}


def _wide(dtype: torch.dtype) -> Any:
    return tl.float64 if dtype == torch.float64 else tl.float32


def _by_channel(
    mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None
) -> tuple[Tensor, ...]:
    """All (C,), their numbers side by side, as the kernels read them."""
    return tuple(v.contiguous() for v in (mean, variance, _or(weight, mean), _or(bias, mean)))


def _or(tensor: Tensor | None, other: Tensor) -> Tensor:
    """A kernel's argument that is not read needs a place all the same."""
    return other if tensor is None else tensor
