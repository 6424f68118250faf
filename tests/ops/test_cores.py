"""Sharing work: every part once, in order, errors passed on; on torch's threads and on our own."""

import threading

import pytest
import torch

from plusx.ops import cores


@pytest.fixture(params=["torch's threads", "our own"])
def threads(request, monkeypatch) -> int:
    """Three threads, whatever the machine has."""
    if request.param == "our own":
        monkeypatch.setattr(cores, "openmp", lambda: None)
    elif cores.openmp() is None:
        pytest.skip("this torch does not come with GNU's OpenMP")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_every_part_is_done_once_and_results_keep_their_order(threads: int, count: int) -> None:
    parts = cores.share(lambda part: list(range(part.start, part.stop)), count)
    assert len(parts) == min(threads, count)
    assert [n for part in parts for n in part] == list(range(count))


def test_parts_run_at_the_same_time(threads: int) -> None:
    meeting = threading.Barrier(threads, timeout=20)
    cores.share(lambda _: meeting.wait(), threads)


def test_inside_torch_computes_on_one_thread(threads: int) -> None:
    """Sums of a row that several threads share come out in another order, hence in other bits."""
    x = torch.rand(200_000, generator=torch.Generator().manual_seed(0))
    torch.set_num_threads(1)
    alone = x.sum()
    torch.set_num_threads(threads)
    assert all(torch.equal(found, alone) for found in cores.share(lambda _: x.sum(), threads))


def test_an_error_reaches_the_caller(threads: int) -> None:
    def work(part: slice) -> None:
        if part.start:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cores.share(work, threads)
