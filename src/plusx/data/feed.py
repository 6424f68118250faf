"""Feeds: where the training pictures of an epoch come from, a minibatch at a time.

An epoch is a pure function of seed and epoch: it has a fixed number of steps, every picture is in exactly one
of them, and each picture has a place in the epoch, by which its augmentation is looked up. So an epoch can be
gone on with at any step, and shared out among processes without changing what a step consists of.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Minibatch:
    """What one process gets of one step.

    Attributes:
        places: int64 (B,), with the pictures; for each picture a number of its own in 0 … pictures − 1.
        pictures: uint8 (B, H, W, 3).
        labels: int64 (B,).
    """

    places: Tensor
    pictures: Tensor
    labels: Tensor


class Feed(Protocol):
    """The training pictures.

    Attributes:
        pictures: how many an epoch has.
        size: their side, in pixels.
    """

    pictures: int
    size: int

    def epoch(
        self, *, seed: int, epoch: int, steps: int, first: int = 0, process: int = 0, processes: int = 1
    ) -> Iterator[Minibatch]:
        """One process's part of an epoch.

        Args:
            seed: with `epoch` it decides on the order.
            epoch: counted from 0.
            steps: how many minibatches an epoch has; each has its even share of the pictures.
            first: the step to begin with: those before were taken already.
            process: which of the `processes` asks; each gets its even share of every step.
            processes: how many take each step together.
        """
        ...

    def sample(self, count: int) -> Tensor:
        """Some of the pictures, from all of them evenly, the same ones every time.

        Args:
            count: how many at most.

        Returns:
            uint8 (n, H, W, 3).
        """
        ...


class MemoryFeed:
    """Pictures that are all in memory, or on a GPU.

    Args:
        pictures: uint8 (N, H, W, 3).
        labels: int64 (N,).

    >>> feed = MemoryFeed(torch.zeros(10, 8, 8, 3, dtype=torch.uint8), torch.arange(10))
    >>> [len(batch.labels) for batch in feed.epoch(seed=0, epoch=0, steps=3)]
    [4, 3, 3]
    """

    def __init__(self, pictures: Tensor, labels: Tensor) -> None:
        """Keep both where they are."""
        self._pictures, self._labels = pictures, labels
        self.pictures, self.size = len(labels), pictures.shape[1]

    def epoch(
        self, *, seed: int, epoch: int, steps: int, first: int = 0, process: int = 0, processes: int = 1
    ) -> Iterator[Minibatch]:
        """See `Feed`."""
        order = torch.randperm(self.pictures, generator=torch.Generator().manual_seed(seed * 1000 + epoch))
        for batch in order.to(self._labels.device).tensor_split(steps)[first:]:
            places = batch.tensor_split(processes)[process]
            yield Minibatch(places, self._pictures[places], self._labels[places])

    def sample(self, count: int) -> Tensor:
        """See `Feed`."""
        count = min(count, self.pictures)
        return self._pictures[torch.arange(count) * self.pictures // count]
