"""Batch normalisation over the pictures of several processes, which train one network together.

Each of P processes holds n_p values of a channel, with mean μ_p and variance σ²_p; N = Σ n_p. Of all together

    μ = Σ n_p · μ_p / N        σ² = Σ n_p · (σ²_p + (μ_p − μ)²) / N

Backward, ∂L/∂x needs mean(G) and mean(G · x̂) over all N values (see `Normalisation` in `plain`), so the two
sums are added up over the processes. ∂L/∂w and ∂L/∂b are each process's own part of the sum: whoever trains
adds up the gradients of all parameters anyway.
"""

from typing import Any

import torch
from torch import Tensor, distributed

from plusx.ops.normalisation.plain import Normalisation, channel_sums, input_gradient, statistics_of


def shared_statistics(x: Tensor) -> tuple[Tensor, Tensor, int]:
    """Mean and variance of each channel over the x of all processes, and how many values those are.

    Args:
        x: (n, C, …), of the same C and size in every process; n may differ, but is 1 at least.
    """
    mean, variance = statistics_of(x)
    count = mean.new_full((1,), x.numel() // x.shape[1])
    own = torch.cat([mean, variance, count])
    parts = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, own)
    table = torch.stack(parts)
    means, variances, counts = table[:, : len(mean)], table[:, len(mean) : -1], table[:, -1:]
    total = counts.sum()
    mean = (counts * means).sum(0) / total
    variance = (counts * (variances + (means - mean).square())).sum(0) / total
    return mean, variance, int(total)


class SharedNormalisation(Normalisation):
    """`Normalisation` with μ, σ² and the count of `shared_statistics`; see the module."""

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The formula of a single process, with the sums of all."""
        x, weight, mean, variance = ctx.saved_tensors
        G, Gx = channel_sums(grad, x, mean, variance, ctx.eps)
        everywhere = torch.cat([G, Gx])
        distributed.all_reduce(everywhere)
        of_all = everywhere[: len(G)] / ctx.count, everywhere[len(G) :] / ctx.count
        dx = input_gradient(grad, x, weight, mean, variance, ctx.eps, of_all)
        needed = ctx.needs_input_grad
        return dx, Gx if needed[1] else None, G if needed[2] else None, None, None, None, None
