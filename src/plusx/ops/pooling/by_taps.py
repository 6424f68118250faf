"""Pooling by torch's operations, tap by tap: on any device, for any real numbers, and under torch.compile."""

import torch
from torch import Tensor

from plusx.ops.chunks import chunks
from plusx.ops.pooling.windows import PoolGeometry, first_tap, lowest, taps


def max_forward(x: Tensor, geometry: PoolGeometry, y: Tensor, winner: Tensor) -> None:
    """Fill y and winner (N, C, H_out, W_out): the largest of the taps so far, and the tap that it is."""
    size = (x.shape[2], x.shape[3])
    for chunk in chunks(x):
        best, won = y[chunk].fill_(lowest(x.dtype)), winner[chunk]
        won.copy_(first_tap(geometry))
        for tap, there, here in taps(size, geometry):
            candidate = x[chunk][here]
            won[there].masked_fill_((candidate > best[there]) | (candidate != candidate), tap)
            best[there].clamp_(min=candidate)


def max_backward(grad: Tensor, winner: Tensor, geometry: PoolGeometry, dx: Tensor) -> None:
    """Fill dx (N, C, H, W): each tap adds the gradients of the windows it won to the pixels it read."""
    size = (dx.shape[2], dx.shape[3])
    for chunk in chunks(dx):
        part, g, won = dx[chunk].zero_(), grad[chunk], winner[chunk]
        for tap, there, here in taps(size, geometry):
            part[here] += torch.where(won[there] == tap, g[there], 0)


def average_forward(x: Tensor, n: Tensor, geometry: PoolGeometry, y: Tensor) -> None:
    """Fill y (N, C, H_out, W_out); `n` (H_out, W_out) says by how much each sum is divided."""
    size = (x.shape[2], x.shape[3])
    for chunk in chunks(x):
        total = torch.zeros_like(y[chunk], dtype=n.dtype)
        for _, there, here in taps(size, geometry):
            total[there] += x[chunk][here]
        y[chunk] = total / n


def average_backward(grad: Tensor, n: Tensor, geometry: PoolGeometry, dx: Tensor) -> None:
    """Fill dx (N, C, H, W)."""
    size = (dx.shape[2], dx.shape[3])
    for chunk in chunks(dx):
        total, share = torch.zeros_like(dx[chunk], dtype=n.dtype), grad[chunk] / n
        for _, there, here in taps(size, geometry):
            total[here] += share[there]
        dx[chunk] = total
