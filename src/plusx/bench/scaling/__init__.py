"""A plan past this machine: what ResNet-50 costs on 1 to 1 024 GPUs, from stated figures and measurements."""

import dataclasses
import os
import statistics
from collections.abc import Callable
from datetime import date
from typing import Any

import torch

from plusx import __version__
from plusx.bench.scaling.checks import check_all_reduces, check_published, check_steps
from plusx.bench.scaling.facts import FACTS
from plusx.bench.scaling.measured import NETWORK, SIZE, decode_rate, measure_processes
from plusx.bench.scaling.plan import cpu_curve, curves, input_pipeline, reach, useful_devices
from plusx.bench.scaling.step import workload
from plusx.bench.steps import NETWORKS, OURS, timed_step, ways
from plusx.bench.timing import alternate
from plusx.device import keep_memory
from plusx.environment import processor

__all__ = ["bench_scaling"]

PROCESSES = (1, 2, 3)


def bench_scaling(rounds: int = 3, say: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Measure what can be measured here, and compute the plan and how far the model is off.

    Args:
        rounds: how often each measurement is made; the median counts.
        say: told what is measured next.

    Returns:
        `machine`; `facts`, each with unit, source and kind; `measured`; `workload`; `rows`, the points of the
        curves (see `plan.row`); `cpu`, the same for machines like this one; `reach`, `useful` and `input`,
        what bounds them; and `checks`.
    """
    load = os.getloadavg()[0]
    say("JPEGs")
    decoding = decode_rate()
    runs = []
    for p in PROCESSES:
        say(f"{p} processes")
        runs.append(measure_processes(p, rounds))
    say("resnet50")
    keep_memory()
    N, size = NETWORKS["resnet50"]
    seconds = alternate({OURS: timed_step("resnet50", N, size, ways()[OURS])}, rounds)[OURS]
    rate = round(N / statistics.median(seconds), 1)
    work = workload("resnet50")
    rows = curves(work)
    return {
        "machine": {
            "date": date.today().isoformat(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "load_before": load,
            "load_after": os.getloadavg()[0],
            "rounds": rounds,
            "plusx_version": __version__,
            "torch_version": torch.__version__,
        },
        "facts": {name: dataclasses.asdict(fact) for name, fact in FACTS.items()},
        "measured": {
            "resnet50": {"images_per_second": rate, "pictures": N},
            "decoding": decoding,
            "processes": runs,
        },
        "workload": {"bytes": work.bytes, **dataclasses.asdict(work)},
        "rows": rows,
        "cpu": cpu_curve(work, rate, N),
        "reach": reach(rows),
        "useful": useful_devices(),
        "input": input_pipeline(decoding["pictures_per_second"]),
        "checks": {
            "all_reduces": check_all_reduces(runs),
            "steps": check_steps(runs, workload(NETWORK, SIZE)),
            "published": check_published(work),
        },
    }
