"""An epoch from shards: exact, each picture once, wherever it is begun and whoever takes part."""

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import webdataset
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from plusx.data import Minibatch, ShardFeed, decode_picture, sample
from plusx.data.picture import FORMATS
from plusx.data.shards import files, list_shards
from plusx.data.shards.feed import NEIGHBOURS, mixed
from plusx.errors import UserError

IMAGES, _ = sample("train")


def feed_of(folder: Path | str, notation: str = "train-{000..011}.tar", **options: Any) -> ShardFeed:
    return ShardFeed(list_shards(f"{folder}/{notation}"), **{"classes": 10, **options})


def same(one: Minibatch, other: Minibatch) -> bool:
    pairs = ((one.places, other.places), (one.pictures, other.pictures), (one.labels, other.labels))
    return all(torch.equal(*pair) for pair in pairs)


def contents(batches: list[Minibatch]) -> list[tuple[bytes, int]]:
    """The pictures and labels of minibatches, in an order that does not depend on theirs."""
    return sorted(
        (picture.numpy().tobytes(), int(label))
        for batch in batches
        for picture, label in zip(batch.pictures, batch.labels, strict=True)
    )


def test_an_epoch_has_the_pictures_and_labels_that_webdataset_finds(made: Path) -> None:
    found = webdataset.WebDataset(f"{made}/train-{{000..011}}.tar", shardshuffle=False)
    expected = sorted(
        (np.asarray(Image.open(io.BytesIO(one["png"]))).tobytes(), int(one["cls"])) for one in found
    )
    feed = feed_of(made)
    assert feed.pictures == len(expected) == sum(range(5, 17))
    assert contents(list(feed.epoch(seed=0, epoch=0, steps=7))) == expected


def test_places_stay_with_their_pictures(made: Path) -> None:
    feed = feed_of(made)
    first, second = (
        {
            int(place): picture.numpy().tobytes()
            for batch in feed.epoch(seed=3, epoch=epoch, steps=5)
            for place, picture in zip(batch.places, batch.pictures, strict=True)
        }
        for epoch in range(2)
    )
    assert sorted(first) == list(range(feed.pictures))
    assert first == second


def test_the_same_seed_and_epoch_give_the_same_minibatches(made: Path) -> None:
    one, other = (list(feed_of(made).epoch(seed=1, epoch=4, steps=6)) for _ in range(2))
    assert all(map(same, one, other))
    another = list(feed_of(made).epoch(seed=1, epoch=5, steps=6))
    assert not any(torch.equal(a.places, b.places) for a, b in zip(one, another, strict=True))


def test_an_epoch_is_gone_on_with_without_decoding_what_came_before(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(feed_of(made).epoch(seed=0, epoch=0, steps=8))
    feed, read = feed_of(made), []
    monkeypatch.setattr(
        "plusx.data.shards.feed.decode_picture", lambda *given: read.append(1) or decode_picture(*given)
    )
    rest = list(feed.epoch(seed=0, epoch=0, steps=8, first=5))
    assert len(rest) == 3
    assert all(map(same, rest, whole[5:]))
    assert len(read) == sum(len(batch.labels) for batch in rest)


def test_the_processes_together_take_the_steps_of_one(made: Path) -> None:
    whole = list(feed_of(made).epoch(seed=2, epoch=0, steps=4))
    parts = [list(feed_of(made).epoch(seed=2, epoch=0, steps=4, process=p, processes=3)) for p in range(3)]
    for step, batch in enumerate(whole):
        shares = [part[step] for part in parts]
        assert torch.equal(torch.cat([share.places for share in shares]), batch.places)
        assert torch.equal(torch.cat([share.pictures for share in shares]), batch.pictures)
        assert max(len(share.labels) for share in shares) - min(len(share.labels) for share in shares) <= 1


def test_leaving_an_epoch_early_leaves_no_threads(made: Path) -> None:
    before = threading.active_count()
    minibatches = feed_of(made).epoch(seed=0, epoch=0, steps=20)
    next(minibatches)
    minibatches.close()
    for thread in threading.enumerate():
        if "ThreadPool" in thread.name:
            thread.join(5)
    assert threading.active_count() <= before


@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=40),
    seed=st.integers(0, 2**31 - 1),
    epoch=st.integers(0, 1000),
)
def test_mixing_puts_every_place_once(counts: list[int], seed: int, epoch: int) -> None:
    order = mixed(counts, seed, epoch)
    assert sorted(order.tolist()) == list(range(sum(counts)))
    assert np.array_equal(order, mixed(counts, seed, epoch))


@given(
    count=st.integers(1, 30),
    shards=st.integers(NEIGHBOURS + 1, 60),
    seed=st.integers(0, 2**31 - 1),
    epoch=st.integers(0, 1000),
)
def test_mixing_puts_no_place_far(count: int, shards: int, seed: int, epoch: int) -> None:
    # A step reads from few shards, mostly one more than NEIGHBOURS. But those put off can pile up: certain is
    # only that a picture moves by the pictures of so many shards at most, forth or back.
    shard = mixed([count] * shards, seed, epoch) // count
    for begin in range(0, len(shard) - count, count):
        assert len(set(shard[begin : begin + count].tolist())) <= 2 * NEIGHBOURS + 2


def test_pictures_are_mixed_among_neighbouring_shards() -> None:
    order = mixed([100] * 50, seed=0, epoch=0)
    shards = order // 100
    for begin in range(1000, 4000, 100):  # off both ends, where there are fewer neighbours
        assert len(set(shards[begin : begin + 100].tolist())) >= NEIGHBOURS
    few = mixed([100] * NEIGHBOURS, seed=0, epoch=0)
    assert len(set((few[:100] // 100).tolist())) == NEIGHBOURS


def test_a_sample_is_evenly_from_the_shards_and_always_the_same(make: Any, tmp_path: Path) -> None:
    for number in range(4):
        make.shard(tmp_path / f"{number}.tar", range(10 * number, 10 * number + 10))
    feed = feed_of(tmp_path, "{0..3}.tar")
    assert torch.equal(feed.sample(4), torch.from_numpy(IMAGES[[0, 10, 20, 30]]))
    assert torch.equal(feed.sample(100), torch.from_numpy(IMAGES[:40]))


def spoilt(make: Any, folder: Path) -> str:
    """Two shards with nine samples, five of which can't be used."""
    make.tar(
        folder / "0.tar",
        [
            *make.files(0),
            *make.files(1, label=10),
            *make.files(2, label="cat"),
            ("000003.png", make.png(3)),
            ("000004.cls", b"3"),
            ("000005.json", b"{}"),
            *make.files(6),
        ],
    )
    half = make.png(8)[:800]
    make.tar(folder / "1.tar", [*make.files(7), ("000008.png", half), ("000008.cls", b"1"), *make.files(9)])
    return "{0..1}.tar"


def test_what_can_t_be_used_is_left_out_counted_and_told(make: Any, tmp_path: Path) -> None:
    said = io.StringIO()
    feed = feed_of(tmp_path, spoilt(make, tmp_path), console=Console(file=said, width=200))
    assert feed.pictures == 10
    for epoch in range(2):
        batches = list(feed.epoch(seed=0, epoch=epoch, steps=2))
        assert contents(batches) == sorted(
            (IMAGES[i].tobytes(), int(sample("train")[1][i])) for i in (0, 6, 7, 9)
        )
    assert feed.faults == {
        "0.tar/000001.png": "the label 10 is not in 0 … 9",
        "0.tar/000002.png": "the label 'cat' is no class number",
        "0.tar/000003.png": "no label (.cls) beside it",
        "0.tar/000004": "no picture beside its label",
        "0.tar/000005": "no picture",
        "1.tar/000008.png": f"can't be read as a picture: damaged, or none of {', '.join(FORMATS)}",
    }
    assert said.getvalue().count("note: skipped") == 6  # once each, not at every epoch


def test_strict_ends_at_the_first_one(make: Any, tmp_path: Path) -> None:
    feed = feed_of(tmp_path, spoilt(make, tmp_path), strict=True)
    with pytest.raises(UserError, match=r"tar/00000\d.*; mend or remove it, or leave --strict out"):
        list(feed.epoch(seed=0, epoch=0, steps=2))


def test_a_minibatch_without_any_usable_picture_ends_it(make: Any, tmp_path: Path) -> None:
    make.tar(tmp_path / "0.tar", [file for i in range(4) for file in make.files(i, label=99)])
    with pytest.raises(UserError, match=r"none of the 2 pictures of a minibatch can be used; 0\.tar/0"):
        list(feed_of(tmp_path, "0.tar").epoch(seed=0, epoch=0, steps=2))


def test_over_http_the_minibatches_are_the_same_and_each_shard_comes_once(made: Path, web: Any) -> None:
    address, asked = web(made)
    local, remote = feed_of(made), feed_of(address)
    for epoch in range(2):
        pairs = zip(
            local.epoch(seed=0, epoch=epoch, steps=9), remote.epoch(seed=0, epoch=epoch, steps=9), strict=True
        )
        assert all(same(*pair) for pair in pairs)
    assert torch.equal(local.sample(50), remote.sample(50))
    fetched = [line for line in asked if line.startswith("GET")]
    assert sorted(fetched) == [f"GET /train-{number:03d}.tar" for number in range(12)]
    list(feed_of(address).epoch(seed=0, epoch=0, steps=9))  # another run: all in the cache
    assert len([line for line in asked if line.startswith("GET")]) == 12


def test_a_server_that_goes_away_is_one_line(made: Path, web: Any) -> None:
    address, _ = web(made)
    feed = feed_of(address, counts=list(range(5, 17)))
    web.stop()
    with pytest.raises(UserError, match=r"^http\S+tar: [^:]*refused; try again, or --resume, when"):
        list(feed.epoch(seed=0, epoch=0, steps=126))


def test_declared_counts_spare_looking_ahead_and_are_checked(made: Path, web: Any) -> None:
    address, asked = web(made)
    feed = feed_of(address, counts=list(range(5, 17)))
    assert not [line for line in asked if line.startswith("GET")]
    steps = feed.epoch(seed=0, epoch=0, steps=126)  # a picture a step
    next(steps)
    steps.close()
    assert 0 < len([line for line in asked if line.startswith("GET")]) < 12
    wrong = feed_of(address, counts=[5] * 12)
    with pytest.raises(UserError, match=r"samples, but index\.json beside it says 5; bring or write both"):
        list(wrong.epoch(seed=0, epoch=0, steps=2))


def test_a_full_disk_makes_room_and_the_epoch_goes_on(
    made: Path, web: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _ = web(made)
    expected = contents(list(feed_of(made).epoch(seed=0, epoch=0, steps=9)))

    class Usage:
        free = 0

    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: Usage)
    feed = feed_of(address)
    assert len(list((cache / "shards").glob("*.tar"))) == 1
    assert contents(list(feed.epoch(seed=0, epoch=0, steps=9))) == expected
