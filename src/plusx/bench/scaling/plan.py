"""ResNet-50 on 1 to 1 024 A100: weak and strong scaling on three networks, and what bounds both."""

from typing import Any

from plusx.bench.scaling.collectives import CLUSTERS, Cluster, Link, all_reduce
from plusx.bench.scaling.facts import fact
from plusx.bench.scaling.step import Workload, step

DEVICES = tuple(2**power for power in range(11))
WEAK_BATCH = 256
"""Pictures for each GPU, as in the published throughput."""
STRONG_BATCH = int(fact("batch without loss of accuracy, SGD"))
GOOD = 0.8
"""An efficiency below which we say that a step no longer scales."""


def compute_seconds(batch: float, rate: float, floor: float) -> float:
    """Forward and backward of a batch on one device: its pictures' time, but never less than the floor.

    >>> compute_seconds(256, rate=2560, floor=0.04), compute_seconds(8, rate=2560, floor=0.04)
    (0.1, 0.04)
    """
    return max(batch / rate, floor)


def row(
    devices: int, batch: int, cluster: Cluster, work: Workload, rate: float, floor: float
) -> dict[str, float]:
    """One point of a curve: a step of `devices` that share a batch.

    Returns:
        `devices`, `batch` and `batch_per_device`; milliseconds `compute_ms`, `communication_ms`, `exposed_ms`
        and `synchronised_ms` (what synchronised batch normalisation would add); `images_per_second` and
        `efficiency`, that rate over `devices` times the rate of one device that is never short of work.
    """

    def cost(n: float) -> float:
        return all_reduce(n, devices, cluster)

    compute = compute_seconds(batch / devices, rate, floor)
    result = step(compute, work, cost)
    synchronised = step(compute, work, cost, synchronised=True)
    return {
        "devices": devices,
        "batch": batch,
        "batch_per_device": batch / devices,
        "compute_ms": 1e3 * result.compute,
        "communication_ms": 1e3 * result.communication,
        "exposed_ms": 1e3 * result.exposed,
        "synchronised_ms": 1e3 * (synchronised.seconds - result.seconds),
        "images_per_second": batch / result.seconds,
        "efficiency": batch / result.seconds / (devices * rate),
    }


def curves(work: Workload) -> list[dict[str, Any]]:
    """All points: each network, weak scaling, strong scaling, and strong without the floor of a step."""
    rate, floor = fact("A100 images/s, mixed precision"), fact("shortest step")
    return [
        {
            "network": network,
            "scaling": scaling,
            **row(devices, batch * (devices if weak else 1), cluster, work, rate, least),
        }
        for network, cluster in CLUSTERS.items()
        for scaling, batch, weak, least in (
            ("weak", WEAK_BATCH, True, floor),
            ("strong", STRONG_BATCH, False, floor),
            ("strong, no floor", STRONG_BATCH, False, 0.0),
        )
        for devices in DEVICES
    ]


def cpu_curve(work: Workload, rate: float, batch: int) -> list[dict[str, float]]:
    """Weak scaling of machines like this one, each a node of its own on 25 Gb/s Ethernet."""
    between = CLUSTERS["25 Gb/s Ethernet"].between
    alone = Link(float("inf"), 0.0, 0.0)
    cluster = Cluster(inside=alone, between=between, node_size=1)
    return [row(devices, batch * devices, cluster, work, rate, 0.0) for devices in DEVICES]


def reach(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """For each scaling and network the largest number of devices whose efficiency is still good."""
    found: dict[str, dict[str, int]] = {}
    for point in rows:
        if point["efficiency"] >= GOOD:
            found.setdefault(point["scaling"], {})[point["network"]] = int(point["devices"])
    return found


def useful_devices() -> list[dict[str, float]]:
    """How many GPUs the largest batch that costs no accuracy keeps busy, at some batches for each."""
    return [
        {"limit": limit, "batch_per_device": batch, "devices": limit / batch}
        for limit in (
            fact("batch without loss of accuracy, SGD"),
            fact("batch without loss of accuracy, LARS"),
        )
        for batch in (256, 128, 64, 32)
    ]


def input_pipeline(decoded_per_second: float) -> dict[str, float]:
    """What one node of GPUs has to be fed with.

    Args:
        decoded_per_second: JPEGs that one core decodes and cuts to size in a second.

    Returns:
        `pictures_per_second` and `bytes_per_second` of a node, and the `cores` that decode them.
    """
    pictures = fact("GPUs of a node") * fact("A100 images/s, mixed precision")
    return {
        "pictures_per_second": pictures,
        "bytes_per_second": pictures * fact("bytes of a JPEG"),
        "cores": pictures / decoded_per_second,
    }
