"""A data-parallel step in time: forward, backward, and all-reduces that begin as gradients become ready."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from plusx import ops
from plusx.models import create_model

FIRST_BUCKET, BUCKET = 2**20, 25 * 2**20
"""Bytes at which DistributedDataParallel closes its first bucket, for an early start, and the others."""
BACKWARD = 2 / 3
"""Backward's share of a step: it forms two products, for the input and for the weight, forward one."""


@dataclass(frozen=True)
class Bucket:
    """Gradients that are reduced together, and the share of backward's work after which all are there."""

    bytes: int
    ready: float


@dataclass(frozen=True)
class Workload:
    """What a network asks of a cluster: its buckets in order, and the channels of each batch-norm layer."""

    buckets: tuple[Bucket, ...]
    norms: tuple[int, ...] = field(default=())

    @property
    def bytes(self) -> int:
        """Bytes of all gradients, which are float32 also in mixed precision."""
        return sum(bucket.bytes for bucket in self.buckets)


@dataclass(frozen=True)
class Step:
    """Seconds of one step: what it computes, what it communicates, and what of that nothing hides."""

    compute: float
    communication: float
    exposed: float

    @property
    def seconds(self) -> float:
        """Computation and the communication that it waits for."""
        return self.compute + self.exposed


def workload(name: str, size: int = 224, num_classes: int = 1000) -> Workload:
    """Count a network's gradients into buckets as DistributedDataParallel does.

    Backward comes to the layers from the last to the first; a layer's share of the work is its share of the
    multiply-adds of one picture of size × size.

    >>> resnet50 = workload("resnet50", size=64)
    >>> resnet50.bytes // 4, len(resnet50.buckets), len(resnet50.norms)
    (25557032, 5, 53)
    """
    with torch.device("meta"):
        model = create_model(name, num_classes=num_classes)
    work: dict[Tensor, float] = {}

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        work[weight] = output.numel() / output.shape[1] * weight.numel()

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with ops.engine("native"), torch.no_grad():
        model.eval()(torch.empty(1, 3, size, size, device="meta"))
    return Workload(
        tuple(_buckets(list(model.parameters())[::-1], work)),
        tuple(layer.num_features for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)),
    )


def _buckets(parameters: Sequence[Tensor], work: dict[Tensor, float]) -> list[Bucket]:
    total, done, size, buckets = sum(work.values()), 0.0, 0, list[Bucket]()
    for parameter in parameters:
        done += work.get(parameter, 0.0)
        size += parameter.numel() * parameter.element_size()
        if size >= (BUCKET if buckets else FIRST_BUCKET):
            buckets.append(Bucket(size, done / total))
            size = 0
    return [*buckets, Bucket(size, 1.0)] if size else buckets


def step(
    compute: float,
    work: Workload,
    cost: Callable[[float], float],
    *,
    backward: float = BACKWARD,
    overlap: bool = True,
    synchronised: bool = False,
) -> Step:
    """The time of one step.

    A bucket's all-reduce begins when its gradients are there and the one before has ended; the step ends with
    backward or with the last of them. Where batch normalisation is synchronised, each layer waits in forward
    for two sums and a count of each channel, and in backward for two sums; nothing hides that.

    Args:
        compute: seconds of forward and backward.
        work: the network's.
        cost: seconds of an all-reduce of so many bytes.
        backward: backward's share of the computation.
        overlap: whether communication runs beside backward; without, it begins after it.
        synchronised: whether batch normalisation takes its statistics over all devices.

    >>> one = Workload((Bucket(100, 0.5), Bucket(100, 1.0)))
    >>> step(3.0, one, lambda n: 0.5, backward=0.5)
    Step(compute=3.0, communication=1.0, exposed=0.5)
    """
    forward_sums = sum(cost(4 * (2 * C + 1)) for C in work.norms) if synchronised else 0.0
    backward_sums = sum(cost(4 * 2 * C) for C in work.norms) if synchronised else 0.0
    begun = compute * (1 - backward) + forward_sums
    lasts = compute * backward + backward_sums
    ended, busy = 0.0, forward_sums + backward_sums
    for bucket in work.buckets:
        ready = begun + lasts * (bucket.ready if overlap else 1.0)
        ended = max(ended, ready) + cost(bucket.bytes)
        busy += cost(bucket.bytes)
    return Step(compute, busy, max(ended, begun + lasts) - compute)
