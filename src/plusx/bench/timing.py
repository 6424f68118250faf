"""Fair timing on a machine that others use too: competitors take turns, and the median counts."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Spread:
    """Seconds a call took: the median and the quartiles of its rounds."""

    median: float
    low: float
    high: float


def alternate(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[Any]]:
    """Run every call once for warming up and then `rounds` times in turn; return what they returned.

    Each round begins with another one, since a call may find in the cache what the call before it left there.

    >>> alternate({"a": lambda: 1, "b": lambda: 2}, rounds=2)
    {'a': [1, 1], 'b': [2, 2]}
    """
    for call in calls.values():
        call()
    results: dict[str, list[Any]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(rounds):
        for k in range(len(names)):
            name = names[(turn + k) % len(names)]
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


def timed(call: Callable[[], Any]) -> float:
    """Seconds that one call takes.

    >>> timed(lambda: sum(range(10))) > 0
    True
    """
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def copy_rate() -> float:
    """Bytes a second that a copy of large memory moves, read and written counted."""
    source = torch.ones(2**25)
    target = torch.empty_like(source)
    seconds = alternate({"copy": lambda: timed(lambda: target.copy_(source))}, 7)["copy"]
    return 2 * source.numel() * source.element_size() / spread(seconds).median


def product_rate(dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product; a multiplication and an addition are two."""
    a, b = (torch.randn(1024, 1024).to(dtype) for _ in range(2))
    seconds = alternate({"product": lambda: timed(lambda: a @ b)}, 5)["product"]
    return 2 * 1024**3 / spread(seconds).median
