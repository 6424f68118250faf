"""Pooling on a GPU, one Triton kernel for each direction.

Each program takes a tile of the result: y forward, ∂L/∂x backward. So each number is written once, and what
neighbours read lies side by side. A tile has rows of all pictures together, columns and channels; only its
rows have to be divided into picture and row. A channels-last picture is (N, H, W, C); a contiguous one is the
same with each channel as a picture of its own, C = 1. Sums are in float32 at least.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from plusx.ops.loops import layout_of
from plusx.ops.pooling.windows import PoolGeometry

TILE = 1024
"""Numbers of a tile: eight for each thread."""
WIDEST = 128
"""Channels of a tile at most."""


@triton.jit
def _tile(rows, H, W, C, TILE_R: tl.constexpr, TILE_W: tl.constexpr, TILE_C: tl.constexpr):
    """This program's tile of (rows = N · H, W, C): picture, row, column, channel, and which there are."""
    columns = tl.cdiv(W, TILE_W)
    r = tl.program_id(0) * TILE_R + tl.arange(0, TILE_R)
    q = tl.program_id(1) % columns * TILE_W + tl.arange(0, TILE_W)
    c = tl.program_id(1) // columns * TILE_C + tl.arange(0, TILE_C)
    r, q, c = r[:, None, None], q[None, :, None], c[None, None, :]
    return r // H, r % H, q, c, (r < rows) & (q < W) & (c < C)


@triton.jit
def _max_forward(
    x, y, winner, rows, H, W, C, H_out, W_out,
    K_h: tl.constexpr, K_w: tl.constexpr, s_h: tl.constexpr, s_w: tl.constexpr,
    start_h: tl.constexpr, start_w: tl.constexpr, d_h: tl.constexpr, d_w: tl.constexpr,
    WIDE: tl.constexpr, TILE_R: tl.constexpr, TILE_W: tl.constexpr, TILE_C: tl.constexpr,
):  # fmt: skip
    n, p, q, c, inside = _tile(rows, H_out, W_out, C, TILE_R, TILE_W, TILE_C)
    best = tl.full([TILE_R, TILE_W, TILE_C], -float("inf"), WIDE)
    won = tl.full([TILE_R, TILE_W, TILE_C], K_h * K_w, tl.int32)  # nobody yet
    for i in tl.static_range(K_h):
        for j in tl.static_range(K_w):
            row, column = p * s_h - start_h + i * d_h, q * s_w - start_w + j * d_w
            real = inside & (row >= 0) & (row < H) & (column >= 0) & (column < W)
            new = tl.load(x + ((n * H + row) * W + column) * C + c, mask=real, other=0).to(WIDE)
            # The first tap inside the picture wins until another one is larger; NaN wins over every number.
            larger = real & ((new > best) | (new != new) | (won == K_h * K_w))
            best = tl.where(larger, new, best)
            won = tl.where(larger, i * K_w + j, won)
    place = ((n * H_out + p) * W_out + q) * C + c
    tl.store(y + place, best.to(y.dtype.element_ty), mask=inside)
    tl.store(winner + place, won.to(winner.dtype.element_ty), mask=inside)


@triton.jit
def _backward(
    grad, of_window, dx, rows, H, W, C, H_out, W_out,
    K_h: tl.constexpr, K_w: tl.constexpr, s_h: tl.constexpr, s_w: tl.constexpr,
    start_h: tl.constexpr, start_w: tl.constexpr, d_h: tl.constexpr, d_w: tl.constexpr,
    MAXIMUM: tl.constexpr,
    WIDE: tl.constexpr, TILE_R: tl.constexpr, TILE_W: tl.constexpr, TILE_C: tl.constexpr,
):  # fmt: skip
    """Each pixel collects from the windows that reach it, in their order: that of the taps turned round.

    `of_window` is the winning tap of each window, or for an average by how much its sum is divided.
    """
    n, row, column, c, inside = _tile(rows, H, W, C, TILE_R, TILE_W, TILE_C)
    gathered = tl.zeros([TILE_R, TILE_W, TILE_C], WIDE)
    for a in tl.static_range(K_h):
        for b in tl.static_range(K_w):
            i, j = K_h - 1 - a, K_w - 1 - b
            top, left = row + start_h - i * d_h, column + start_w - j * d_w
            p, q = top // s_h, left // s_w
            there = (top >= 0) & (left >= 0) & (p * s_h == top) & (q * s_w == left)
            there = there & (p < H_out) & (q < W_out)
            reached = inside & there
            window = ((n * H_out + p) * W_out + q) * C + c
            if MAXIMUM:
                won = tl.load(of_window + window, mask=reached, other=0)
                reached = reached & (won == i * K_w + j)
                gathered += tl.load(grad + window, mask=reached, other=0).to(WIDE)
            else:
                divisor = tl.load(of_window + p * W_out + q, mask=there, other=1)
                gathered += tl.load(grad + window, mask=reached, other=0).to(WIDE) / divisor
    place = ((n * H + row) * W + column) * C + c
    tl.store(dx + place, gathered.to(dx.dtype.element_ty), mask=inside)


@triton.jit
def _average_forward(
    x, divisors, y, rows, H, W, C, H_out, W_out,
    K_h: tl.constexpr, K_w: tl.constexpr, s_h: tl.constexpr, s_w: tl.constexpr,
    start_h: tl.constexpr, start_w: tl.constexpr, d_h: tl.constexpr, d_w: tl.constexpr,
    WIDE: tl.constexpr, TILE_R: tl.constexpr, TILE_W: tl.constexpr, TILE_C: tl.constexpr,
):  # fmt: skip
    n, p, q, c, inside = _tile(rows, H_out, W_out, C, TILE_R, TILE_W, TILE_C)
    added = tl.zeros([TILE_R, TILE_W, TILE_C], WIDE)
    for i in tl.static_range(K_h):
        for j in tl.static_range(K_w):
            row, column = p * s_h - start_h + i * d_h, q * s_w - start_w + j * d_w
            real = inside & (row >= 0) & (row < H) & (column >= 0) & (column < W)
            added += tl.load(x + ((n * H + row) * W + column) * C + c, mask=real, other=0).to(WIDE)
    divisor = tl.load(divisors + p * W_out + q, mask=q < W_out, other=1)
    place = ((n * H_out + p) * W_out + q) * C + c
    tl.store(y + place, (added / divisor).to(y.dtype.element_ty), mask=inside)


def max_forward(x: Tensor, geometry: PoolGeometry, y: Tensor, winner: Tensor) -> None:
    """Fill y and winner (N, C, H_out, W_out), laid out as x."""
    x = x.contiguous(memory_format=layout_of(x))
    _run(_max_forward, (x, y, winner), x, y, geometry)


def max_backward(grad: Tensor, winner: Tensor, geometry: PoolGeometry, dx: Tensor) -> None:
    """Fill dx (N, C, H, W); `winner` (N, C, H_out, W_out) is laid out as dx."""
    grad = grad.contiguous(memory_format=layout_of(dx))
    _run(_backward, (grad, winner, dx), dx, dx, geometry, MAXIMUM=True)


def average_forward(x: Tensor, n: Tensor, geometry: PoolGeometry, y: Tensor) -> None:
    """Fill y (N, C, H_out, W_out), laid out as x; `n` (H_out, W_out) says by how much each sum is divided."""
    x = x.contiguous(memory_format=layout_of(x))
    _run(_average_forward, (x, n, y), x, y, geometry)


def average_backward(grad: Tensor, n: Tensor, geometry: PoolGeometry, dx: Tensor) -> None:
    """Fill dx (N, C, H, W)."""
    grad = grad.contiguous(memory_format=layout_of(dx))
    _run(_backward, (grad, n, dx), dx, dx, geometry, MAXIMUM=False)


def _run(
    kernel: Any,
    tensors: tuple[Tensor, ...],
    picture: Tensor,
    result: Tensor,
    geometry: PoolGeometry,
    **choices: bool,
) -> None:
    """Launch a kernel over all tiles of the result, which is the picture or what it is pooled to."""
    if result.numel() == 0:
        return
    C = picture.shape[1] if layout_of(picture) == torch.channels_last else 1
    width = result.shape[3]
    tile_c = min(WIDEST, triton.next_power_of_2(C))
    tile_w = min(TILE // tile_c, triton.next_power_of_2(width))
    tile_r = TILE // tile_c // tile_w
    rows = result.numel() // (width * C)
    K, stride, start, dilation, out = geometry
    with torch.cuda.device_of(result):
        kernel[(triton.cdiv(rows, tile_r), triton.cdiv(width, tile_w) * triton.cdiv(C, tile_c))](
            *tensors,
            *(rows, picture.shape[2], picture.shape[3], C, *out),
            *(*K, *stride, *start, *dilation),
            WIDE=tl.float64 if result.dtype == torch.float64 else tl.float32,
            TILE_R=tile_r,
            TILE_W=tile_w,
            TILE_C=tile_c,
            **choices,
        )
