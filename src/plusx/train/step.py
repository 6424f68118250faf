"""A training step: forward, loss, backward, the optimisers' steps; on a GPU recorded once and then replayed.

A step of the fast net is a thousand small kernels. To launch them one by one takes a processor longer than a
fast GPU takes to compute them; a CUDA graph launches them all at once.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from plusx import ops
from plusx.ops import gpu

MOST_GRAPHS = 8
"""Shapes of a minibatch that are recorded; later ones are computed kernel by kernel."""


class Taken(NamedTuple):
    """A step that may still be under way on the device."""

    result: Tensor
    """What `Step` returns."""
    own: int
    """Pictures of this process."""
    whole: int
    """Pictures of all processes."""


def sums_of(taken: Sequence[Taken]) -> list[float]:
    """Wait for the steps: for each the sum of this process's losses, and how many pictures it had right.

    >>> sums_of([Taken(torch.tensor([0.5, 3.0]), own=4, whole=4)])
    [2.0, 3.0]
    """
    results = torch.stack([step.result for step in taken]).tolist()
    return [v for (loss, right), step in zip(results, taken, strict=True) for v in (loss * step.own, right)]


class Step(Protocol):
    """Trains on one process's share of a minibatch."""

    def __call__(self, pictures: Tensor, labels: Tensor, share: float) -> Tensor:
        """Change the parameters.

        Args:
            pictures: (B, C, H, W), augmented.
            labels: (B,).
            share: the factor on the loss's gradient.

        Returns:
            (2,) on the pictures' device: the mean loss, and how many were classified rightly.
        """
        ...


class PlainStep:
    """A step, operation by operation.

    Args:
        network: what is trained.
        optimizers: what changes its parameters.
        precision: what products are computed in.
        label_smoothing: the part of the target that is spread over all classes.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizers: list[torch.optim.Optimizer],
        precision: torch.dtype,
        label_smoothing: float,
    ) -> None:
        """Keep them."""
        self.network, self.optimizers = network, optimizers
        self.precision, self.label_smoothing = precision, label_smoothing

    def __call__(self, pictures: Tensor, labels: Tensor, share: float) -> Tensor:
        """See `Step`."""
        with torch.autocast(pictures.device.type, self.precision, enabled=self.precision != torch.float32):
            logits = self.network(pictures)
            loss = ops.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        (loss if share == 1 else loss * share).backward()
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return torch.stack([loss.detach().float(), (logits.argmax(1) == labels).sum().float()])


class RecordedStep:
    """The same step as a CUDA graph for each shape of minibatch.

    The first minibatch of a shape is computed operation by operation, so that everything that is chosen or
    allocated at first use exists; the second is recorded, which computes nothing, and replayed; so are all
    after it. Whatever changes from step to step has to be on the GPU: see `rates_on` in `plusx.train.optim`.

    Args:
        step: what is recorded.
    """

    def __init__(self, step: Step) -> None:
        """Nothing is recorded yet."""
        self.step = step
        self.seen: set[torch.Size] = set()
        self.graphs: dict[torch.Size, tuple[torch.cuda.CUDAGraph, Tensor, Tensor, Tensor]] = {}
        self.memory = torch.cuda.graph_pool_handle()  # one for all graphs, since only one runs at a time
        self.stream = torch.cuda.Stream()

    def __call__(self, pictures: Tensor, labels: Tensor, share: float) -> Tensor:
        """See `Step`; a recorded step has the share it was recorded with: 1 for a process alone."""
        shape = pictures.shape
        if shape not in self.seen:
            if len(self.seen) == MOST_GRAPHS:
                return self.step(pictures, labels, share)
            self.seen.add(shape)
            return self._beside(pictures, labels, share)
        if shape not in self.graphs:
            self._record(pictures, labels, share)
        graph, given_pictures, given_labels, result = self.graphs[shape]
        given_pictures.copy_(pictures)
        given_labels.copy_(labels)
        graph.replay()
        return result.clone()  # the next replay overwrites it

    def _beside(self, pictures: Tensor, labels: Tensor, share: float) -> Tensor:
        """Compute on another stream than the usual one: recording wants nothing left that belongs to that."""
        usual = torch.cuda.current_stream()
        self.stream.wait_stream(usual)
        with torch.cuda.stream(self.stream), gpu.prefer_kernels():
            result = self.step(pictures, labels, share)
        usual.wait_stream(self.stream)
        return result

    def _record(self, pictures: Tensor, labels: Tensor, share: float) -> None:
        given_pictures, given_labels = pictures.clone(), labels.clone()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.memory), gpu.prefer_kernels():
            result = self.step(given_pictures, given_labels, share)
        self.graphs[pictures.shape] = graph, given_pictures, given_labels, result
