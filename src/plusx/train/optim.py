"""Optimisers: which parameter is stepped how. SGD with Nesterov momentum is torch's; Muon is written here."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from plusx.errors import UserError
from plusx.train.recipe import Optimizer

# Quintic a·x + b·x³ + c·x⁵ whose iterates bring every singular value near 1; K. Jordan, "Muon" (2024).
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor, steps: int = 3) -> Tensor:
    """The nearest matrices with orthonormal rows or columns, roughly: `U·Vᵀ` of the SVD `U·S·Vᵀ` of each.

    Newton–Schulz: `X ← a·X + (b·G + c·G²)·X` with `G = X·Xᵀ` moves each singular value by the quintic and
    leaves the singular vectors alone. Three steps bring most of them into 0.3…1.2, as good as 1 for a
    direction.

    Args:
        matrices: (n, rows, columns).
        steps: how many iterations.

    >>> (u,) = orthogonalise(torch.diag(torch.tensor([3.0, 2.0]))[None], steps=5)
    >>> bool((u.diagonal() > 0.6).all() and (u.diagonal() < 1.3).all())
    True
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.mT if tall else matrices  # the Gram matrix is then the smaller of the two
    x = x / (torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, then a step along the orthogonalised direction; filters are kept at one norm.

    For a filter bank W of shape (C_out, C_in, K, K), seen as a C_out × K²·C_in matrix:

        M ← momentum · M + G
        W ← W · sqrt(C_out) / ‖W‖
        W ← W − learning_rate · orthogonalise(G + momentum · M)

    The second line makes a step turn every layer by the same angle. A batch norm follows each of these
    convolutions, so the norm of W does not change what the network computes. The third is Nesterov's step.
    K. Jordan, "Muon" (2024), in airbench's form for convolutions.
    """

    def __init__(
        self, params: list[nn.Parameter], lr: float, momentum: float, dtype: torch.dtype = torch.float32
    ) -> None:
        """Take the filters; the schedule sets `lr` before each step; directions are computed in `dtype`."""
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Turn every filter bank by one step."""
        for group in self.param_groups:
            for weights in _alike(group["params"]):
                directions = [self._direction(weight, group["momentum"]) for weight in weights]
                # (n, C_out, K, K, C_in): in the order of channels-last memory.
                banks = torch.stack([direction.permute(0, 2, 3, 1) for direction in directions])
                turns = orthogonalise(banks.flatten(2).to(self.dtype)).view_as(banks).permute(0, 1, 4, 2, 3)
                for weight, turn in zip(weights, turns.to(weights[0].dtype), strict=True):
                    weight.mul_(len(weight) ** 0.5 / weight.norm().clamp_min(1e-7))
                    weight.sub_(turn * group["lr"])

    def _direction(self, weight: nn.Parameter, momentum: float) -> Tensor:
        """G + momentum · M, after M has taken G in."""
        gradient, state = weight.grad, self.state[weight]
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        buffer: Tensor = state["momentum_buffer"].mul_(momentum).add_(gradient)
        return gradient.add(buffer, alpha=momentum)


def _alike(weights: list[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Those that have a gradient, by shape: their small products are faster together than one by one."""
    trained = [weight for weight in weights if weight.grad is not None]
    shapes = dict.fromkeys(weight.shape for weight in trained)
    return [[weight for weight in trained if weight.shape == shape] for shape in shapes]


def make_optimizers(
    model: nn.Module, settings: Optimizer, dtype: torch.dtype = torch.float32
) -> list[torch.optim.Optimizer]:
    """Share the trainable parameters out among optimisers.

    The last linear layer may have a rate of its own. Under "sgd" biases and norm scales are not decayed.
    Under "muon" every trained filter bank goes to Muon; biases and the last linear layer go to SGD at rates
    of their own. `dtype` is the run's compute type.

    Raises:
        UserError: if a parameter of a network of the user's own is none of these.
    """
    kinds: dict[str, list[nn.Parameter]] = {"filters": [], "matrices": [], "vectors": []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            kinds[_kind(name, parameter)].append(parameter)
    filters, matrices, vectors = kinds.values()
    head: dict[str, Any] = {
        "params": matrices,
        "lr": settings.head_learning_rate or settings.learning_rate,
        "weight_decay": settings.weight_decay,
    }
    if settings.name == "sgd":
        groups = [
            {"params": filters, "weight_decay": settings.weight_decay},
            head,
            {"params": vectors, "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        return [torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=True)]
    rest = [
        {"params": vectors, "lr": settings.bias_learning_rate, "weight_decay": 0.0},
        head | {"weight_decay": settings.head_weight_decay},
    ]
    by_sgd = torch.optim.SGD(
        [group for group in rest if group["params"]], momentum=settings.head_momentum, nesterov=True
    )
    if not filters:  # all of them are frozen
        return [by_sgd]
    return [Muon(filters, settings.learning_rate, settings.momentum, dtype), by_sgd]


def _kind(name: str, parameter: nn.Parameter) -> str:
    """Filters (C_out, C_in, K, K), matrices, or vectors: one number for each channel, or a single one."""
    one_axis = parameter.numel() == max(parameter.shape, default=1)
    if parameter.ndim == 4 and not (one_axis and len(parameter) == 1):  # (1, C, 1, 1) scales channels
        return "filters"
    if parameter.ndim == 2:
        return "matrices"
    if one_axis:
        return "vectors"
    raise UserError(
        f"parameter {name} of shape {tuple(parameter.shape)} is no filter of a convolution, no matrix and no "
        "vector: the recipes know no rate for it"
    )


def rates_on(device: torch.device, optimizers: list[torch.optim.Optimizer]) -> None:
    """Keep the rates in the device's memory, where the kernels of a recorded step read them."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("peak", float(group["lr"]))
            group["lr"] = torch.tensor(float(group["lr"]), device=device)
            if isinstance(optimizer, torch.optim.SGD):
                # torch's other kernels for SGD want the rate in the processor's memory.
                group["fused"] = True


def set_rates(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Multiply every group's own rate by the schedule's factor."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["rate"] = rate = group.setdefault("peak", group["lr"]) * factor
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


def rate_of(optimizer: torch.optim.Optimizer) -> float:
    """The rate that `set_rates` gave the first group last."""
    return float(optimizer.param_groups[0]["rate"])
