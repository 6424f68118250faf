"""Learning-rate schedules: pure functions of how far the run has come, so that resuming remembers nothing."""

import math


def factor(shape: str, progress: float, warmup: float = 0.0, power: float = 1.0) -> float:
    """The factor on every learning rate.

    It rises linearly from 0 to 1 during the warm-up, then falls to 0 at the end: `(1 − t)^power` (linear),
    `((1 + cos πt) / 2)^power` (cosine, Loshchilov & Hutter 2016), or stays at 1 (constant), where t runs from
    0 to 1.

    Args:
        shape: "linear", "cosine" or "constant".
        progress: share of the run's steps that are done, 0…1.
        warmup: share of the run's steps that warm up, 0…1.
        power: above 1 the rates fall sooner, so that more steps are taken at small ones.

    >>> [factor("linear", p, warmup=0.5) for p in (0.25, 0.5, 0.75)]
    [0.5, 1.0, 0.5]
    >>> round(factor("cosine", 0.5), 3), factor("linear", 0.5, power=2)
    (0.5, 0.25)
    """
    if progress < warmup:
        return progress / warmup
    t = (progress - warmup) / (1.0 - warmup) if warmup < 1.0 else 0.0
    if shape == "linear":
        return (1.0 - t) ** power
    if shape == "cosine":
        return ((1.0 + math.cos(math.pi * t)) / 2.0) ** power
    return 1.0
