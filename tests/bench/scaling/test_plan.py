"""The curves keep their limits, and the checks compare what they say they compare."""

import itertools

import pytest

from plusx.bench.scaling.checks import check_all_reduces, check_published, check_steps
from plusx.bench.scaling.collectives import Link, ring
from plusx.bench.scaling.facts import FACTS
from plusx.bench.scaling.plan import cpu_curve, curves, input_pipeline, reach, useful_devices
from plusx.bench.scaling.step import Bucket, Workload, workload


@pytest.fixture(scope="module")
def resnet50() -> Workload:
    return workload("resnet50")


def test_curves_begin_at_one_whole_gpu_and_lose_from_there(resnet50: Workload) -> None:
    points = curves(resnet50)
    for _, group in itertools.groupby(points, lambda p: (p["network"], p["scaling"])):
        rows = list(group)
        assert [row["devices"] for row in rows] == [2**k for k in range(11)]
        assert rows[0]["efficiency"] == pytest.approx(1)
        assert rows[0]["communication_ms"] == 0
        for fewer, more in itertools.pairwise(rows):
            assert more["efficiency"] <= fewer["efficiency"] + 1e-12
            same = (
                more["batch"] == fewer["batch"]
                if rows[0]["scaling"] != "weak"
                else more["batch_per_device"] == fewer["batch_per_device"]
            )
            assert same
        for row in rows:
            seconds = (row["compute_ms"] + row["exposed_ms"]) / 1e3
            assert row["images_per_second"] == pytest.approx(row["batch"] / seconds)


def test_the_slower_of_two_networks_never_does_better(resnet50: Workload) -> None:
    at = {(p["scaling"], p["devices"], p["network"]): p["efficiency"] for p in curves(resnet50)}
    for scaling, devices, _ in at:
        fast, slow, slowest = (
            at[scaling, devices, network]
            for network in ("8 × 200 Gb/s InfiniBand", "1 × 200 Gb/s InfiniBand", "25 Gb/s Ethernet")
        )
        assert fast >= slow >= slowest


def test_slow_machines_scale_well(resnet50: Workload) -> None:
    rows = cpu_curve(resnet50, rate=5.0, batch=16)
    assert rows[-1]["devices"] == 1024
    assert rows[-1]["efficiency"] > 0.99


def test_reach_is_the_last_good_point() -> None:
    points = [
        {"network": "a", "scaling": "weak", "devices": d, "efficiency": e}
        for d, e in ((1, 1.0), (2, 0.8), (4, 0.79))
    ]
    assert reach(points) == {"weak": {"a": 2}}


def test_the_batch_bounds_the_gpus_and_a_node_has_to_be_fed() -> None:
    assert {(row["limit"], row["batch_per_device"]): row["devices"] for row in useful_devices()}[
        8192, 256
    ] == 32
    fed = input_pipeline(100.0)
    assert fed["cores"] == 8 * 2470 / 100
    assert fed["bytes_per_second"] == pytest.approx(8 * 2470 * 115_440, rel=1e-3)


def test_every_fact_names_its_source() -> None:
    assert all(fact.source and fact.value > 0 for fact in FACTS.values())
    assert {fact.kind for fact in FACTS.values()} == {"published", "assumed"}


def test_a_perfect_ring_is_found_to_be_one() -> None:
    link = Link(2e9, 3e-5, 3e-5)
    runs = [
        {"processes": p, "all_reduce": [[n, ring(n, p, link)] for n in (4096, 10**6, 10**8)] if p > 1 else []}
        for p in (1, 2, 3)
    ]
    for row in check_all_reduces(runs):
        assert row["bandwidth"] == pytest.approx(2e9)
        assert row["latency"] == pytest.approx(3e-5)
        assert row["worst"] == pytest.approx(1)
        assert row["off_from_two"] == pytest.approx(1)
    slower = {"processes": 3, "all_reduce": [[n, 2 * t] for n, t in runs[2]["all_reduce"]]}
    assert check_all_reduces([runs[1], slower])[1]["off_from_two"] == pytest.approx(2)


def test_predicted_steps_by_hand() -> None:
    work = Workload((Bucket(10**6, 0.5), Bucket(10**6, 1.0)))
    link = Link(1e9, 1e-6, 1e-6)
    points = [[n, ring(n, 2, link)] for n in (4096, 10**6, 10**8)]
    runs = [
        {"processes": 1, "all_reduce": [], "alone": [0.01, 0.02], "step": 0.031},
        {"processes": 2, "all_reduce": points, "alone": [0.01, 0.02], "step": 0.04},
    ]
    alone, both = check_steps(runs, work)
    assert (alone["overlapping"], alone["in_turn"]) == pytest.approx((0.03, 0.03))
    each = 2 * 1e-6 + 1e-3
    assert both["overlapping"] == pytest.approx(0.03 + each)
    assert both["in_turn"] == pytest.approx(0.03 + 2 * each)
    assert both["measured"] == 0.04


def test_published_scaling_is_stated_beside_the_model_s(resnet50: Workload) -> None:
    rows = {row["what"]: row for row in check_published(resnet50)}
    assert rows["1 to 8 A100, mixed precision"]["published"] == pytest.approx(16621 / 8 / 2470)
    assert rows["8 to 352 P100"]["published"] == pytest.approx(1 / 1.12)
    assert all(0 < row["predicted"] <= 1 for row in rows.values())
    # 352 GPUs hide all but the last bucket: 7.9 MB, of which twice 43/44 go over 6.25 GB/s in 12 messages.
    last = 2 * 43 / 44 * 7_885_056 / 6.25e9 + 12 * 50e-6
    iteration = 16 * 60 * 256 / 1_281_167
    assert rows["8 to 352 P100"]["predicted"] == pytest.approx(iteration / (iteration + last), abs=5e-4)
