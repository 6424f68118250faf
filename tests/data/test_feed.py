"""An epoch has every picture once, whoever asks for how much of it."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from plusx.data.feed import MemoryFeed


def feed(pictures: int) -> MemoryFeed:
    numbers = torch.arange(pictures)
    return MemoryFeed(numbers.to(torch.uint8)[:, None, None, None].expand(pictures, 2, 2, 3), numbers)


@given(pictures=st.integers(1, 200), steps=st.integers(1, 20), processes=st.integers(1, 4))
def test_every_picture_is_in_one_step_of_one_process(pictures: int, steps: int, processes: int) -> None:
    parts = [
        list(feed(pictures).epoch(seed=1, epoch=2, steps=steps, process=p, processes=processes))
        for p in range(processes)
    ]
    assert all(len(part) == steps for part in parts)
    seen = [int(label) for part in parts for batch in part for label in batch.labels]
    assert sorted(seen) == list(range(pictures))
    for shares in zip(*parts, strict=True):
        sizes = [len(share.labels) for share in shares]
        assert max(sizes) - min(sizes) <= 1
    totals = [sum(len(share.labels) for share in shares) for shares in zip(*parts, strict=True)]
    assert max(totals) - min(totals) <= 1


def test_the_processes_together_take_the_steps_of_one() -> None:
    whole = list(feed(100).epoch(seed=0, epoch=0, steps=7))
    parts = [list(feed(100).epoch(seed=0, epoch=0, steps=7, process=p, processes=3)) for p in range(3)]
    for step, batch in enumerate(whole):
        assert torch.equal(torch.cat([part[step].places for part in parts]), batch.places)


def test_a_minibatch_s_pictures_labels_and_places_belong_together() -> None:
    for batch in feed(100).epoch(seed=0, epoch=0, steps=7):
        assert torch.equal(batch.pictures[:, 0, 0, 0].long(), batch.labels)
        assert torch.equal(batch.places, batch.labels)


def test_a_sample_is_evenly_from_all_pictures() -> None:
    assert feed(100).sample(4)[:, 0, 0, 0].tolist() == [0, 25, 50, 75]
    assert feed(3).sample(10)[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_an_epoch_can_be_gone_on_with_and_the_next_one_is_another() -> None:
    whole = list(feed(50).epoch(seed=3, epoch=1, steps=5))
    rest = list(feed(50).epoch(seed=3, epoch=1, steps=5, first=2))
    assert all(torch.equal(a.places, b.places) for a, b in zip(whole[2:], rest, strict=True))
    other = next(iter(feed(50).epoch(seed=3, epoch=2, steps=5)))
    assert not torch.equal(other.places, whole[0].places)
