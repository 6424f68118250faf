"""What is measured here, small: two processes that really exchange bytes, and JPEGs of ImageNet's size."""

import pytest

from plusx.bench.scaling.facts import fact
from plusx.bench.scaling.measured import decode_rate, measure_processes


def test_two_processes_reduce_and_step() -> None:
    run = measure_processes(2, 1, sizes=(4096, 65536), network="resnet20", batch=2, size=32)
    assert run["processes"] == 2
    assert [n for n, _ in run["all_reduce"]] == [4096, 65536]
    assert all(seconds > 0 for seconds in (*(t for _, t in run["all_reduce"]), *run["alone"], run["step"]))


def test_the_jpegs_are_about_as_large_as_imagenet_s() -> None:
    decoded = decode_rate(8)
    assert decoded["bytes"] == pytest.approx(fact("bytes of a JPEG"), rel=0.1)
    assert decoded["pictures_per_second"] > 0
