"""The model against what was measured: by a few processes here, and by others on many GPUs."""

import math
import statistics
from functools import partial
from typing import Any

from plusx.bench.scaling.collectives import CLUSTERS, Cluster, Link, all_reduce, ring
from plusx.bench.scaling.facts import fact
from plusx.bench.scaling.measured import fit
from plusx.bench.scaling.step import Workload, step


def check_all_reduces(runs: list[dict[str, Any]]) -> list[dict[str, float]]:
    """How well a ring explains gloo's all-reduces.

    Returns:
        for each number of processes `latency` (s) and `bandwidth` (B/s) as fitted to them; `off`, the median
        factor between prediction and measurement, and `worst`, the largest; and `off_from_two`, the median
        factor if latency and bandwidth are those of two processes. Factors are at least 1.
    """
    several = [run for run in runs if run["processes"] > 1]
    links = [fit(run["processes"], run["all_reduce"]) for run in several]
    rows = []
    for run, link in zip(several, links, strict=True):
        factors = _factors(run, link)
        rows.append(
            {
                "processes": run["processes"],
                "latency": link.latency,
                "bandwidth": link.bandwidth,
                "off": statistics.median(factors),
                "worst": max(factors),
                "off_from_two": statistics.median(_factors(run, links[0])),
            }
        )
    return rows


def _factors(run: dict[str, Any], link: Link) -> list[float]:
    return [
        math.exp(abs(math.log(ring(n, run["processes"], link) / seconds))) for n, seconds in run["all_reduce"]
    ]


def check_steps(runs: list[dict[str, Any]], work: Workload) -> list[dict[str, float]]:
    """Steps of DistributedDataParallel, predicted from computation alone and all-reduces alone.

    Where processes are as many as the cores or more, what moves the bytes is not there to overlap: it needs
    the cores that compute. So there are two predictions, with overlap and without.

    Returns:
        for each number of processes `measured`, `overlapping` and `in_turn`, in seconds, and `compute`, the
        part of both that is computation.
    """
    rows = []
    for run in runs:
        p, (forward, backward) = run["processes"], run["alone"]
        link = fit(p, run["all_reduce"]) if p > 1 else Link(math.inf, 0.0, 0.0)

        compute = forward + backward
        overlapping, in_turn = (
            step(compute, work, partial(ring, p=p, link=link), backward=backward / compute, overlap=overlap)
            for overlap in (True, False)
        )
        rows.append(
            {
                "processes": p,
                "measured": run["step"],
                "compute": compute,
                "overlapping": overlapping.seconds,
                "in_turn": in_turn.seconds,
            }
        )
    return rows


def check_published(work: Workload) -> list[dict[str, Any]]:
    """ResNet-50's published scaling: what the model says from the smaller machine's speed, and what came out.

    Returns:
        `what`, `predicted` and `published`, both the larger machine's efficiency, and `source`.
    """
    rows: list[dict[str, Any]] = []
    a100 = CLUSTERS["8 × 200 Gb/s InfiniBand"]
    for numbers in ("mixed precision", "TF32"):
        one, eight = fact(f"A100 images/s, {numbers}"), fact(f"8 A100 images/s, {numbers}")
        compute = 256 / one
        predicted = compute / step(compute, work, lambda n: all_reduce(n, 8, a100)).seconds
        rows.append(_published(f"1 to 8 A100, {numbers}", predicted, eight / (8 * one), "NVIDIA"))

    big_basin = Cluster(
        inside=Link(fact("P100: NVLink bandwidth"), fact("NVLink latency"), fact("NVLink latency, small")),
        between=Link(fact("P100: network of a node"), fact("TCP latency"), fact("TCP latency")),
        node_size=8,
    )
    compute = fact("8 P100: an epoch") * 256 / fact("pictures of an epoch")
    share = fact("P100: backward pass, 32 pictures") / compute

    def seconds(devices: int) -> float:
        return step(compute, work, lambda n: all_reduce(n, devices, big_basin), backward=share).seconds

    for devices, published in (
        (256, fact("efficiency of 256 GPUs")),
        (352, 1 / fact("slower on 352 GPUs than on 8")),
    ):
        rows.append(
            _published(f"8 to {devices} P100", seconds(8) / seconds(devices), published, "Goyal et al.")
        )
    return rows


def _published(what: str, predicted: float, published: float, source: str) -> dict[str, Any]:
    return {"what": what, "predicted": predicted, "published": published, "source": source}
