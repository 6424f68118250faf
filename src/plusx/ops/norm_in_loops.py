"""Normalisation, shortcut and activation on the processor: the compiled loops, on rows of several pixels.

All take pictures (N, C, H, W) in channels-last memory, and factors (C,) in the precision to compute in.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plusx.ops import norm_loops
from plusx.ops.activation import Activation
from plusx.ops.cores import share
from plusx.ops.loops import as_array

ROW = 1024
"""Numbers in a row: entering a loop costs as much as a few dozen of them."""


def sums(x: Tensor, origin: Tensor) -> Tensor:
    """Σ (x − origin) and Σ (x − origin)² of each channel: (2, C) float64."""
    rows = _rows(x)
    start = _factors(rows, origin)[0]
    return _by_channel(share(lambda part: norm_loops.sums(rows[part], start), len(rows)), x)


def transform(
    x: Tensor, added: Tensor | None, scale: Tensor, shift: Tensor, activation: Activation
) -> Tensor:
    """f(x · scale + shift + added)."""
    y = torch.empty_like(x)
    rows, other, out = _rows(x), _rows(added), _rows(y)
    factors = _factors(rows, scale, shift)
    run, _, _ = norm_loops.norm_loops(activation)
    share(lambda part: run(rows[part], _part(other, part), factors, out[part]), len(rows))
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
    g, rows, other = _rows(grad), _rows(x), _rows(added)
    factors = _factors(rows, scale, shift, mean)
    _, run, _ = norm_loops.norm_loops(activation)
    return _by_channel(
        share(lambda part: run(g[part], rows[part], _part(other, part), factors), len(rows)), x
    )


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
    dx, passed = torch.empty_like(x), None if added is None else torch.empty_like(x)
    g, rows, other, d, p = _rows(grad), _rows(x), _rows(added), _rows(dx), _rows(passed)
    factors = _factors(rows, scale, shift, slope, constant)
    _, _, run = norm_loops.norm_loops(activation)
    share(
        lambda part: run(g[part], rows[part], _part(other, part), factors, d[part], _part(p, part)), len(rows)
    )
    return dx, passed


def _rows(x: Tensor | None) -> Any:
    """(N, C, H, W) → (rows, pixels · C), a view if x is channels-last."""
    if x is None:
        return None
    pixels = math.gcd(x.numel() // x.shape[1], _power_of_two(ROW // x.shape[1]))
    plain = x.detach().contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    return as_array(plain.reshape(-1, pixels * x.shape[1]))


def _part(rows: Any, part: slice) -> Any:
    return None if rows is None else rows[part]


def _power_of_two(n: int) -> int:
    """The largest one that is not above n; 1 for n < 1."""
    return 1 << max(0, n.bit_length() - 1)


def _factors(rows: NDArray[Any], *by_channel: Tensor) -> NDArray[Any]:
    """Factors for each channel → (factors, pixels · C): one for each number of a row."""
    stacked = torch.stack(by_channel).detach().numpy()
    return np.tile(stacked, rows.shape[1] // stacked.shape[1])


def _by_channel(parts: list[NDArray[Any]], x: Tensor) -> Tensor:
    """Sums (2, pixels · C) over rows, of each part → (2, C)."""
    total: NDArray[Any] = sum(parts)  # type: ignore[assignment]
    return torch.from_numpy(total.reshape(2, -1, x.shape[1]).sum(1))
