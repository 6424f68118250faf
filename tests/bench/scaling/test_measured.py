"""What is measured here, small: two processes that really exchange bytes, and JPEGs of ImageNet's size."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from plusx.bench.scaling.facts import fact
from plusx.bench.scaling.measured import decode_rate, measure_processes


def test_two_processes_reduce_and_step() -> None:
    run = measure_processes(2, 1, sizes=(4096, 65536), network="resnet20", batch=2, size=32)
    assert run["processes"] == 2
    assert [n for n, _ in run["all_reduce"]] == [4096, 65536]
    assert all(seconds > 0 for seconds in (*(t for _, t in run["all_reduce"]), *run["alone"], run["step"]))


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)


def empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("moment", ["*", "*/meet"])  # the processes start; they have met
def test_ctrl_c_ends_all_processes_without_a_word(tmp_path: Path, moment: str) -> None:
    work = "measure_processes(2, 10**6, sizes=(4096,), network='resnet20', batch=2, size=32)"
    program = f"""
from plusx.bench.scaling.measured import measure_processes
try:
    {work}
except KeyboardInterrupt:
    raise SystemExit(130)
"""
    running = subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    until(lambda: list(tmp_path.glob(moment)))
    time.sleep(1)
    os.killpg(running.pid, signal.SIGINT)
    try:
        assert running.communicate(timeout=60)[1] == b""
        assert running.returncode == 130
        until(lambda: empty(running.pid))
    finally:
        if not empty(running.pid):
            os.killpg(running.pid, signal.SIGKILL)


def test_the_jpegs_are_about_as_large_as_imagenet_s() -> None:
    decoded = decode_rate(8)
    assert decoded["bytes"] == pytest.approx(fact("bytes of a JPEG"), rel=0.1)
    assert decoded["pictures_per_second"] > 0
