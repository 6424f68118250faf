"""Buckets as torch makes them; a step's time against one simulated tick by tick."""

import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st

from plusx.bench.scaling.step import BUCKET, FIRST_BUCKET, Bucket, Workload, step, workload
from plusx.models import create_model
from plusx.models.summary import multiply_adds

TICKS = 60
"""Of backward; forward takes half as long."""
buckets = st.lists(st.integers(0, TICKS), min_size=1, max_size=6).map(
    lambda ready: [*sorted(ready)[:-1], TICKS]
)


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "resnet50"])
def test_the_buckets_are_those_of_distributed_data_parallel(name: str) -> None:
    with torch.device("meta"):
        parameters = [*create_model(name, num_classes=1000).parameters()][::-1]
    assigned = dist._compute_bucket_assignment_by_size(
        [torch.empty(p.shape) for p in parameters], [FIRST_BUCKET, BUCKET], [False] * len(parameters)
    )[0]
    expected = [sum(parameters[i].numel() * 4 for i in indices) for indices in assigned]
    assert [bucket.bytes for bucket in workload(name, size=64).buckets] == expected


def test_the_first_bucket_is_ready_after_the_last_layer_s_share_of_the_work() -> None:
    work = workload("resnet18", size=64)
    with torch.device("meta"):
        total = multiply_adds(create_model("resnet18", num_classes=1000), (3, 64, 64))
    assert work.buckets[0].ready == pytest.approx(512 * 1000 / total)
    assert work.buckets[-1].ready == pytest.approx(1)


def ticks(ready: list[int], cost: list[int]) -> int:
    """Forward, then backward and one line of all-reduces, a tick at a time."""
    waiting, now, line = list(zip(ready, cost, strict=True)), 0, 0
    while now < TICKS or waiting or line:
        if not line and waiting and waiting[0][0] <= now:
            line = waiting.pop(0)[1]
            if not line:
                continue
        line = max(line - 1, 0)
        now += 1
    return TICKS // 2 + now


@given(ready=buckets, data=st.data())
def test_a_step_takes_as_long_as_a_simulated_one(ready: list[int], data: st.DataObject) -> None:
    cost = data.draw(st.lists(st.integers(0, 40), min_size=len(ready), max_size=len(ready)))
    work = Workload(tuple(Bucket(c, r / TICKS) for r, c in zip(ready, cost, strict=True)))
    result = step(1.5 * TICKS, work, lambda n: n)
    assert result.seconds == pytest.approx(ticks(ready, cost))
    assert result.communication == sum(cost)
    # Overlap hides at most everything and costs nothing.
    assert result.seconds >= max(result.compute, result.communication) - 1e-9
    assert result.seconds <= step(1.5 * TICKS, work, lambda n: n, overlap=False).seconds + 1e-9


@given(ready=buckets, factor=st.floats(1, 10), compute=st.floats(0.1, 100))
def test_a_slower_network_or_processor_never_makes_a_step_shorter(
    ready: list[int], factor: float, compute: float
) -> None:
    work = Workload(tuple(Bucket(10 + r, r / TICKS) for r in ready), norms=(4, 8))
    base = step(compute, work, lambda n: n / 10)
    assert step(compute, work, lambda n: factor * n / 10).seconds >= base.seconds - 1e-9
    assert step(factor * compute, work, lambda n: n / 10).seconds >= base.seconds - 1e-9
    assert step(compute, work, lambda n: n / 10, synchronised=True).seconds > base.seconds


def test_without_overlap_times_add_up_and_without_communication_only_computation_is_left() -> None:
    work = workload("resnet18", size=64)
    assert step(1.0, work, lambda n: n * 1e-9, overlap=False).exposed == pytest.approx(work.bytes * 1e-9)
    assert step(1.0, work, lambda n: 0.0, synchronised=True).seconds == pytest.approx(1)


def test_synchronised_norms_add_two_small_all_reduces_a_layer() -> None:
    sent: list[float] = []
    work = Workload((Bucket(100, 1.0),), norms=(16, 64))
    step(1.0, work, lambda n: sent.append(n) or 1.0, synchronised=True)
    # float32: mean, inverse deviation and one count forward; two sums backward.
    assert sorted(set(sent)) == sorted({4 * 33, 4 * 129, 4 * 32, 4 * 128, 100})
    assert step(1.0, work, lambda n: 0.5 * (n != 100), synchronised=True).exposed == pytest.approx(4 * 0.5)
