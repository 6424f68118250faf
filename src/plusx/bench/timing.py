"""Fair timing on a machine that others use too: competitors take turns, and the median counts."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import torch

CPU = torch.device("cpu")


class Spread(NamedTuple):
    """Seconds a call took: the median and the quartiles of its rounds."""

    median: float
    low: float
    high: float


Name = TypeVar("Name")


def alternate(calls: Mapping[Name, Callable[[], Any]], rounds: int) -> dict[Name, list[Any]]:
    """Run every call once for warming up and then `rounds` times in turn; return what they returned.

    Each round begins with another one, and every second goes the other way, since a call may find in the
    cache what the call before it left there.

    >>> alternate({"a": lambda: 1, "b": lambda: 2}, rounds=2)
    {'a': [1, 1], 'b': [2, 2]}
    """
    for call in calls.values():
        call()
    results: dict[Name, list[Any]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(rounds):
        order = names[turn % len(names) :] + names[: turn % len(names)]
        for name in reversed(order) if turn % 2 else order:
            results[name].append(calls[name]())
    return results


def spread(seconds: list[float]) -> Spread:
    """Median and quartiles.

    >>> spread([1.0, 2.0, 3.0, 4.0, 5.0])
    Spread(median=3.0, low=2.0, high=4.0)
    """
    if len(seconds) < 3:
        return Spread(statistics.median(seconds), min(seconds), max(seconds))
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return Spread(median, low, high)


def timed(call: Callable[[], Any], device: torch.device = CPU) -> float:
    """Seconds that one call takes; on a GPU those from its first kernel's launch to its last one's end.

    >>> timed(lambda: sum(range(10))) > 0
    True
    """
    if device.type == "cuda":
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        with torch.cuda.device(device):
            begun.record()
            call()
            ended.record()
        ended.synchronize()
        return begun.elapsed_time(ended) / 1e3
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def copy_rate(device: torch.device = CPU) -> float:
    """Bytes a second that a copy of large memory moves, read and written counted."""
    source = torch.ones(2**25 if device.type == "cpu" else 2**29, device=device)
    target = torch.empty_like(source)
    seconds = alternate({"copy": lambda: timed(lambda: target.copy_(source), device)}, 7)["copy"]
    return 2 * source.numel() * source.element_size() / spread(seconds).median


def product_rate(dtype: torch.dtype, device: torch.device = CPU) -> float:
    """Operations a second of a large matrix product; a multiplication and an addition are two."""
    size = 1024 if device.type == "cpu" else 8192
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = alternate({"product": lambda: timed(lambda: a @ b, device)}, 5)["product"]
    return 2 * size**3 / spread(seconds).median
