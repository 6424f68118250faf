"""Winograd's convolution: the same sums with a quarter of the multiplications.

Four neighbouring outputs of a 3-tap kernel w read six inputs d: 4 · 3 = 12 products. Both can be seen as
polynomials; a product of polynomials is known from its values at 2 + 4 points, and 0, ±1, ±2, ∞ make

    y = Aᵀ [(G w) ⊙ (Bᵀ d)]      6 products, ⊙ element by element

with small fixed matrices. Rows and columns together take 36 products for 4×4 outputs instead of 144:

    Y = Aᵀ [Σ_c (G W_c Gᵀ) ⊙ (Bᵀ D_c B)] A

The sum over input channels c makes 36 matrix products of it, (tiles, C_in)·(C_in, C_out), one for each
element of a tile. Both gradients have the same form, since Y is linear in W and in D: that of the input is a
convolution itself; that of the kernel, from G_Y = ∂L/∂Y, is

    ∂L/∂W = Gᵀ [Σ_tiles (Bᵀ D B) ⊙ (A G_Y Aᵀ)] G

What it costs: the transforms pass over the data a few more times, so few channels gain nothing; and rounding
errors are some ten times those of the plain sum: harmless in float32, too many in bfloat16.

Source: Lavin and Gray 2015, arXiv 1509.09308, section 4.1: F(4×4, 3×3).
"""

import threading
from collections.abc import Sequence

import torch
from torch import Tensor

from plusx.ops.convolution.winograd_loops import gradient_tiles, input_tiles, output_pixels
from plusx.ops.cores import share

CHUNK_TILES = 128
"""So many tiles at a time: enough rows for a fast matrix product, few enough to stay in the cache."""
MIN_WEIGHTS, MIN_TILES, MIN_WORK = 24 * 64, 256, 2**23
"""With fewer C_in · C_out, tiles, or both multiplied, transforming costs more than the saved products."""


def _kernel_transform(like: Tensor) -> Tensor:
    """G for rows and for columns at once: (36, 9), from a kernel's taps to its transform's elements."""
    rows = [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6]]
    rows += [[1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]]
    G = torch.tensor(rows, dtype=like.dtype)
    return torch.kron(G, G)


def suits(
    x: Tensor,
    C_out: int,
    kernel_size: Sequence[int],
    size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> bool:
    """Whether this is the faster way: 3×3 taps at stride 1, many channels, float32 on the processor."""
    tiles = -(-size[0] // 4) * -(-size[1] // 4)
    weights = x.shape[1] * C_out
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and tuple(kernel_size) == (3, 3)
        and {*stride, *dilation, groups} == {1}
        and all(0 <= o <= 2 for o in offset)
        and weights >= MIN_WEIGHTS
        and x.shape[0] * tiles >= MIN_TILES
        and x.shape[0] * tiles * weights >= MIN_WORK
        and 36 * tiles <= 0.6 * 9 * size[0] * size[1]
    )


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, size: Sequence[int], offset: Sequence[int]
) -> Tensor:
    """Convolve x (N, C_in, H, W), with `offset` zeros above and to the left, into an output of `size`.

    Returns:
        (N, C_out, *size), channels-last.
    """
    N, C_in, C_out = x.shape[0], x.shape[1], weight.shape[0]
    rows, columns = -(-size[0] // 4), -(-size[1] // 4)
    pictures = _rows_of_pixels(x)
    kernels = (_kernel_transform(weight) @ weight.permute(2, 3, 1, 0).reshape(9, -1)).view(36, C_in, C_out)
    shift = (weight.new_zeros(C_out) if bias is None else bias.contiguous()).numpy()
    y = x.new_empty(N, size[0], size[1] * C_out)

    @torch.no_grad()
    def work(part: slice) -> None:
        chunk = max(1, CHUNK_TILES // (rows * columns))
        tiles, products = (_tiles(k, chunk * rows * columns, C) for k, C in enumerate((C_in, C_out)))
        for first in range(part.start, part.stop, chunk):
            some = slice(first, min(first + chunk, part.stop))
            count = (some.stop - some.start) * rows * columns
            input_tiles(pictures[some].numpy(), C_in, *offset, rows, columns, tiles.flatten(1).numpy())
            torch.bmm(tiles[:, :count], kernels, out=products[:, :count])
            output_pixels(products.flatten(1).numpy(), C_out, rows, columns, shift, y[some].numpy())

    share(work, N)
    return y.view(N, *size, C_out).permute(0, 3, 1, 2)


def weight_gradient(x: Tensor, grad: Tensor, offset: Sequence[int]) -> Tensor:
    """∂L/∂W (C_out, C_in, 3, 3) from x (N, C_in, H, W) and ∂L/∂Y (N, C_out, H_out, W_out)."""
    C_in, C_out = x.shape[1], grad.shape[1]
    rows, columns = -(-grad.shape[2] // 4), -(-grad.shape[3] // 4)
    pictures, gradients = _rows_of_pixels(x), _rows_of_pixels(grad)

    @torch.no_grad()
    def work(part: slice) -> Tensor:
        chunk = max(1, CHUNK_TILES // (rows * columns))
        tiles, spread = (_tiles(k, chunk * rows * columns, C) for k, C in enumerate((C_in, C_out)))
        total = x.new_zeros(36, C_in, C_out)
        for first in range(part.start, part.stop, chunk):
            some = slice(first, min(first + chunk, part.stop))
            count = (some.stop - some.start) * rows * columns
            input_tiles(pictures[some].numpy(), C_in, *offset, rows, columns, tiles.flatten(1).numpy())
            gradient_tiles(gradients[some].numpy(), C_out, rows, columns, spread.flatten(1).numpy())
            total.baddbmm_(tiles[:, :count].transpose(1, 2), spread[:, :count])
        return total

    total = sum(share(work, x.shape[0]), x.new_zeros(()))
    flat = _kernel_transform(x).T @ total.flatten(1)
    return flat.view(3, 3, C_in, C_out).permute(3, 2, 0, 1).contiguous()


def _rows_of_pixels(x: Tensor) -> Tensor:
    """(N, C, H, W) → (N, H, W·C), without a copy if x is channels-last."""
    return x.detach().permute(0, 2, 3, 1).contiguous().flatten(2)


class _Scratch(threading.local):
    """Memory that a thread keeps for its tiles: fresh memory would come from the system page by page."""

    def __init__(self) -> None:
        self.rooms: dict[int, Tensor] = {}


_scratch = _Scratch()


def _tiles(room: int, count: int, channels: int) -> Tensor:
    """Room for transformed tiles, and one more: rows a power of two apart would compete for cache lines."""
    size = 36 * (count + 1) * channels
    if room not in _scratch.rooms or _scratch.rooms[room].numel() < size:
        _scratch.rooms[room] = torch.empty(size)
    return _scratch.rooms[room][:size].view(36, count + 1, channels)
