"""Pooling on a GPU, one Triton kernel for each direction.

Each program takes BLOCK numbers of the result in the order of memory: y forward, ∂L/∂x backward. So each is
written once, and what neighbours read lies side by side. A channels-last picture is (N, H, W, C); a
contiguous one is the same with each channel as a picture of its own, C = 1. Sums are in float32 at least.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from plusx.ops.loops import layout_of
from plusx.ops.pooling.windows import Geometry

BLOCK = 256


@triton.jit
def _coordinates(place, H, W, C):
    """Picture, row, column and channel of a place in (N, H, W, C)."""
    return place // (H * W * C), place // (W * C) % H, place // C % W, place % C


@triton.jit
def _max_forward(
    x, y, winner, total, H, W, C, H_out, W_out, s_h, s_w, start_h, start_w, d_h, d_w,
    K_h: tl.constexpr, K_w: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < total
    n, p, q, c = _coordinates(place, H_out, W_out, C)
    best = tl.full([BLOCK], -float("inf"), WIDE)
    won = tl.full([BLOCK], K_h * K_w, tl.int32)  # nobody yet
    for i in tl.static_range(K_h):
        for j in tl.static_range(K_w):
            row, column = p * s_h - start_h + i * d_h, q * s_w - start_w + j * d_w
            real = inside & (row >= 0) & (row < H) & (column >= 0) & (column < W)
            new = tl.load(x + ((n * H + row) * W + column) * C + c, mask=real, other=0).to(WIDE)
            # The first tap inside the picture wins until another one is larger; NaN wins over every number.
            larger = real & ((new > best) | (new != new) | (won == K_h * K_w))
            best = tl.where(larger, new, best)
            won = tl.where(larger, i * K_w + j, won)
    tl.store(y + place, best.to(y.dtype.element_ty), mask=inside)
    tl.store(winner + place, won.to(winner.dtype.element_ty), mask=inside)


@triton.jit
def _backward(
    grad, of_window, dx, total, H, W, C, H_out, W_out, s_h, s_w, start_h, start_w, d_h, d_w,
    K_h: tl.constexpr, K_w: tl.constexpr, MAXIMUM: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Each pixel collects from the windows that reach it, in their order: that of the taps turned round.

    `of_window` is the winning tap of each window, or for an average by how much its sum is divided.
    """
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < total
    n, row, column, c = _coordinates(place, H, W, C)
    gathered = tl.zeros([BLOCK], WIDE)
    for a in tl.static_range(K_h):
        for b in tl.static_range(K_w):
            i, j = K_h - 1 - a, K_w - 1 - b
            top, left = row + start_h - i * d_h, column + start_w - j * d_w
            p, q = top // s_h, left // s_w
            reached = inside & (top >= 0) & (left >= 0) & (p * s_h == top) & (q * s_w == left)
            reached = reached & (p < H_out) & (q < W_out)
            window = ((n * H_out + p) * W_out + q) * C + c
            if MAXIMUM:
                won = tl.load(of_window + window, mask=reached, other=0)
                reached = reached & (won == i * K_w + j)
                gathered += tl.load(grad + window, mask=reached, other=0).to(WIDE)
            else:
                divisor = tl.load(of_window + p * W_out + q, mask=reached, other=1)
                gathered += tl.load(grad + window, mask=reached, other=0).to(WIDE) / divisor
    tl.store(dx + place, gathered.to(dx.dtype.element_ty), mask=inside)


@triton.jit
def _average_forward(
    x, divisors, y, total, H, W, C, H_out, W_out, s_h, s_w, start_h, start_w, d_h, d_w,
    K_h: tl.constexpr, K_w: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < total
    n, p, q, c = _coordinates(place, H_out, W_out, C)
    added = tl.zeros([BLOCK], WIDE)
    for i in tl.static_range(K_h):
        for j in tl.static_range(K_w):
            row, column = p * s_h - start_h + i * d_h, q * s_w - start_w + j * d_w
            real = inside & (row >= 0) & (row < H) & (column >= 0) & (column < W)
            added += tl.load(x + ((n * H + row) * W + column) * C + c, mask=real, other=0).to(WIDE)
    divisor = tl.load(divisors + p * W_out + q, mask=inside, other=1)
    tl.store(y + place, (added / divisor).to(y.dtype.element_ty), mask=inside)


def max_forward(x: Tensor, geometry: Geometry, y: Tensor, winner: Tensor) -> None:
    """Fill y and winner (N, C, H_out, W_out), laid out as x."""
    x = x.contiguous(memory_format=layout_of(x))
    _run(_max_forward, (x, y, winner), x, y, geometry)


def max_backward(grad: Tensor, winner: Tensor, geometry: Geometry, dx: Tensor) -> None:
    """Fill dx (N, C, H, W); `winner` (N, C, H_out, W_out) is laid out as dx."""
    grad = grad.contiguous(memory_format=layout_of(dx))
    _run(_backward, (grad, winner, dx), dx, dx, geometry, MAXIMUM=True)


def average_forward(x: Tensor, n: Tensor, geometry: Geometry, y: Tensor) -> None:
    """Fill y (N, C, H_out, W_out), laid out as x; `n` (H_out, W_out) says by how much each sum is divided."""
    x = x.contiguous(memory_format=layout_of(x))
    _run(_average_forward, (x, n, y), x, y, geometry)


def average_backward(grad: Tensor, n: Tensor, geometry: Geometry, dx: Tensor) -> None:
    """Fill dx (N, C, H, W)."""
    grad = grad.contiguous(memory_format=layout_of(dx))
    _run(_backward, (grad, n, dx), dx, dx, geometry, MAXIMUM=False)


def _run(
    kernel: Any,
    tensors: tuple[Tensor, ...],
    picture: Tensor,
    result: Tensor,
    geometry: Geometry,
    **choices: bool,
) -> None:
    """Launch a kernel over all numbers of the result, which is the picture or what it is pooled to."""
    total = result.numel()
    if total == 0:
        return
    C = picture.shape[1] if layout_of(picture) == torch.channels_last else 1
    K, stride, start, dilation, out = geometry
    with torch.cuda.device_of(result):
        kernel[(triton.cdiv(total, BLOCK),)](
            *tensors,
            total,
            *(picture.shape[2], picture.shape[3], C, *out),
            *(*stride, *start, *dilation),
            K_h=K[0],
            K_w=K[1],
            WIDE=tl.float64 if result.dtype == torch.float64 else tl.float32,
            BLOCK=BLOCK,
            **choices,
        )
