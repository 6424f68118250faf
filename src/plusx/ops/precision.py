"""Which dtype something is computed in: sums in float32 at least; under `torch.autocast` as torch has it."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def accumulation_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype for sums over x: float32, or float64 where x is.

    >>> accumulation_dtype(torch.ones(1, dtype=torch.bfloat16))
    torch.float32
    """
    return torch.promote_types(x.dtype, torch.float32)


def _is_on(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


T = TypeVar("T", Tensor, Tensor | None)


def for_product(x: T) -> T:
    """Cast what enters a matrix product to the autocast type; float64 and everything outside autocast stays.

    >>> with torch.autocast("cpu", torch.bfloat16):
    ...     for_product(torch.ones(2)).dtype, for_product(torch.ones(2, dtype=torch.float64)).dtype
    (torch.bfloat16, torch.float64)
    """
    if x is None or not _is_on(x.device.type) or not x.is_floating_point() or x.dtype == torch.float64:
        return x
    return x.to(torch.get_autocast_dtype(x.device.type))


def for_losses(x: Tensor) -> Tensor:
    """Cast what enters a loss to float32 inside autocast; float64 and everything outside autocast stays."""
    return x.float() if _is_on(x.device.type) and x.dtype != torch.float64 else x


def as_given(function: Callable[P, R]) -> Callable[P, R]:
    """Let a forward or a backward compute in the dtypes it was given, whatever autocast surrounds it."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        device = next(arg.device.type for arg in args if isinstance(arg, Tensor))
        if not _is_on(device):
            return function(*args, **kwargs)
        with torch.autocast(device, enabled=False):
            return function(*args, **kwargs)

    return run
