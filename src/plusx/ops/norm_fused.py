"""Batch normalisation, the shortcut's sum and the rectifier in one pass each way (channels-last)."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plusx.ops import norm_loops
from plusx.ops.cores import share
from plusx.ops.loops import as_array, serve
from plusx.ops.precision import as_given

ROW = 1024
"""Numbers in a row of the loops."""


def suits(x: Tensor, added: Tensor | None) -> bool:
    """Whether the compiled loops take this: plain channels-last pictures on the processor, one dtype."""
    if x.dim() != 4 or x.numel() == 0 or not x.is_contiguous(memory_format=torch.channels_last):
        return False
    others = [] if added is None else [added]
    return serve(x, *others) and all(other.dtype == x.dtype and other.shape == x.shape for other in others)


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance (divided by the number of values) of each channel, in float32 at least."""
    rows, origin = _rows(x), _wide(x[0, :, 0, 0]).numpy()
    start = _tiled(origin, rows)
    sums = sum(share(lambda part: norm_loops.sums(rows[part], start), len(rows)))
    first, second = _by_channel(sums, x) / (x.numel() // x.shape[1])
    mean, variance = origin + first, np.maximum(second - first * first, 0)
    return torch.from_numpy(mean.astype(origin.dtype)), torch.from_numpy(variance.astype(origin.dtype))


class FusedNormalisation(torch.autograd.Function):
    """`y = relu(w · (x − μ) · r + b + added)`, r = 1 / √(σ² + ε); the rectifier and the sum are optional.

    With G = ∂L/∂y where y > 0 (everywhere without the rectifier), ∂L/∂added = G, and the rest is
    `plusx.ops.norm.Normalisation`'s, written for one pass:

        ∂L/∂x = w·r · G − (x − μ) · w·r² · mean(G · x̂) − w·r · mean(G)
    """

    @staticmethod
    @as_given
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        added: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        training: bool,
        rectify: bool,
    ) -> Tensor:
        """A multiplication, one or two sums and a comparison for each value."""
        scale = (variance + eps).rsqrt() if weight is None else (variance + eps).rsqrt() * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        y = torch.empty_like(x)
        rows, out = _rows(x), _rows(y)
        other = None if added is None else _rows(added)
        factors = [_tiled(v.detach().to(mean.dtype).numpy(), rows) for v in (scale, shift)]
        floor = factors[0].dtype.type(0 if rectify else -np.inf)

        def work(part: slice) -> None:
            norm_loops.transform(
                rows[part], *factors, None if other is None else other[part], floor, out[part]
            )

        share(work, len(rows))
        ctx.save_for_backward(x, y if rectify else x, weight, bias, added, mean, variance)
        ctx.eps, ctx.training, ctx.floor = eps, training, floor
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The formulas above; to be differentiated once more, those of the single operations."""
        x, y, weight, bias, added, mean, variance = ctx.saved_tensors
        if torch.is_grad_enabled():
            return (*_gradients_of_the_parts(ctx, grad), None, None, None, None, None)
        grad = grad.contiguous(memory_format=torch.channels_last)
        g, out, rows, floor = _rows(grad), _rows(y), _rows(x), ctx.floor
        centre = _tiled(mean.numpy(), rows)

        def sums(part: slice) -> np.ndarray[Any, Any]:
            result: np.ndarray[Any, Any] = norm_loops.gradient_sums(
                g[part], out[part], floor, rows[part], centre
            )
            return result

        G, Gx = torch.from_numpy(_by_channel(sum(share(sums, len(rows))), x))
        r = (variance.double() + ctx.eps).rsqrt()
        Gx = Gx * r
        scale = r if weight is None else r * weight.detach()
        dx = torch.empty_like(x)
        passed = None if added is None else torch.empty_like(x)
        d, p = _rows(dx), None if passed is None else _rows(passed)
        values, zero = x.numel() // x.shape[1], torch.zeros_like(scale)
        slope = scale * r * Gx / values if ctx.training else zero
        constant = mean.double() * slope - scale * G / values if ctx.training else zero
        factors = [_tiled(v.to(mean.dtype).numpy(), rows) for v in (scale, slope, constant)]

        def work(part: slice) -> None:
            norm_loops.input_gradient(
                g[part],
                out[part],
                floor,
                rows[part],
                *factors,
                d[part],
                None if p is None else p[part],
            )

        share(work, len(rows))
        parameter_gradients = [v.to(w.dtype) if w is not None else None for v, w in ((Gx, weight), (G, bias))]
        return (dx, *parameter_gradients, passed, None, None, None, None, None)


def _gradients_of_the_parts(ctx: Any, grad: Tensor) -> list[Tensor | None]:
    """The gradients of x, weight, bias and added, from operations that can be differentiated again."""
    from plusx.ops.activation import relu
    from plusx.ops.norm import Normalisation

    x, _, weight, bias, added, mean, variance = ctx.saved_tensors
    y = Normalisation.apply(x, weight, bias, mean, variance, ctx.eps, ctx.training)
    y = y if added is None else y + added
    y = relu(y, engine="handmade") if ctx.floor == 0 else y
    wanted = [v for v in (x, weight, bias, added) if v is not None and v.requires_grad]
    found = iter(torch.autograd.grad(y, wanted, grad, create_graph=True))
    return [next(found) if v is not None and v.requires_grad else None for v in (x, weight, bias, added)]


def _wide(x: Tensor) -> Tensor:
    return x.detach().to(torch.promote_types(x.dtype, torch.float32)).contiguous()


def _rows(x: Tensor) -> "np.ndarray[Any, Any]":
    """(N, C, H, W) → (rows, pixels · C), a view if x is channels-last.

    Several pixels make a row: entering a loop costs as much as a few dozen of its numbers.
    """
    pixels = math.gcd(x.numel() // x.shape[1], _power_of_two(ROW // x.shape[1]))
    plain = x.detach().contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    return as_array(plain.reshape(-1, pixels * x.shape[1]))


def _power_of_two(n: int) -> int:
    """The largest one that is not above n; 1 for n < 1."""
    return 1 << max(0, n.bit_length() - 1)


def _tiled(v: "np.ndarray[Any, Any]", rows: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """A factor for each channel → one for each number of a row."""
    return np.tile(v, rows.shape[1] // len(v))


def _by_channel(sums: Any, x: Tensor) -> "np.ndarray[Any, Any]":
    """Sums (2, pixels · C) over rows → (2, C)."""
    total: np.ndarray[Any, Any] = sums.reshape(2, -1, x.shape[1]).sum(1)
    return total
