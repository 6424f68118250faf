"""Where the time of a training step goes: its seconds by the kind of operation they are spent in."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from statistics import fmean
from typing import Any

from torch.profiler import ProfilerActivity, profile

from plusx.bench.timing import alternate, timed

GRADIENTS, REST = "gradients of convolutions", "the rest"
KINDS = {
    "convolutions": ("conv",),
    GRADIENTS: (),  # of the same names, on the way back
    "normalisation, activation, sum": ("norm", "relu", "swish", "rectifier", "aten::add", "addbackward"),
    "pooling": ("pool",),
    REST: (),  # the last layer and the loss, changes of type, and what is between operations
}
"""What the names of operations contain, of PyTorch's and of ours."""
BACKWARD = "autograd::engine::evaluate_function: "
"""How autograd calls an operation's way back."""


def kind_of(operation: str) -> str:
    """The kind of an operation that the profiler names.

    >>> kind_of("aten::max_pool2d")
    'pooling'
    >>> kind_of("autograd::engine::evaluate_function: ConvolutionBackward0")
    'gradients of convolutions'
    """
    name = operation.lower()
    kind = next((kind for kind, words in KINDS.items() if any(word in name for word in words)), REST)
    return GRADIENTS if kind == "convolutions" and operation.startswith(BACKWARD) else kind


def breakdown(steps: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, dict[str, float]]:
    """For each step, by name, its shares: the means of `rounds`, in which the steps take turns."""
    watched = alternate({name: partial(shares, step) for name, step in steps.items()}, rounds)
    return {name: {kind: fmean(r[kind] for r in rows) for kind in KINDS} for name, rows in watched.items()}


def shares(step: Callable[[], Any]) -> dict[str, float]:
    """The parts of one step's time by kind; they add up to 1.

    An operation counts with all that it calls. To watch it costs some microseconds, so these are shares of a
    step that is watched; seconds are better taken from one that is not.

    >>> import torch
    >>> x = torch.randn(8, 3, 32, 32)
    >>> parts = shares(lambda: torch.max_pool2d(x, 2))
    >>> list(parts) == list(KINDS), round(sum(parts.values()), 6), parts["pooling"] > 0, parts["convolutions"]
    (True, 1.0, True, 0.0)
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else each profile says on standard error that it began
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        whole = timed(step)
    seconds = dict.fromkeys(KINDS, 0.0)
    for event in watched.events():
        if event.cpu_parent is None:
            seconds[kind_of(event.name)] += event.cpu_time_total / 1e6
    seconds[REST] = max(0.0, whole - sum(s for kind, s in seconds.items() if kind != REST))
    total = sum(seconds.values())
    return {kind: s / total for kind, s in seconds.items()}
