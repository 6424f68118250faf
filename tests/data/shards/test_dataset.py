"""Shards as a dataset: classes, test pictures, record; and what can go wrong, said in a line."""

import gzip
import json
import os
import shutil
import time
from collections.abc import Callable
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from plusx.data import load, sample
from plusx.data.shards import is_shards, load_shards
from plusx.data.shards.files import list_shards
from plusx.errors import UserError
from plusx.train import claim, load_recipe, refuse_changed

IMAGES, LABELS = sample("train")
NOTATION = "train-{000..011}.tar"


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """The shards of `made`, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "own"))


def test_the_last_shards_are_the_test_pictures(made: Path) -> None:
    data = load(f"{made}/{NOTATION}", test_share=0.2)
    assert data.stream is not None
    assert data.stream.pictures == sum(range(5, 15))
    assert len(data.test_labels) == 15 + 16
    assert data.classes == tuple(f"class {number}" for number in range(10))
    assert data.train_images.shape == (0, 32, 32, 3)
    streamed = next(iter(data.stream.epoch(seed=0, epoch=0, steps=1))).pictures.numpy()
    assert not {p.tobytes() for p in streamed} & {p.tobytes() for p in data.test_images}
    assert data.record["counts"]["test"] == {
        name: int((data.test_labels == number).sum()) for number, name in enumerate(data.classes)
    }
    assert sum(data.record["counts"]["train"].values()) == data.stream.pictures
    with pytest.raises(UserError, match=r"--set data\.test=SHARDS"):
        data.hold_out(10, seed=0)


def test_test_pictures_are_where_the_user_says(made: Path, tmp_path: Path, make: Any) -> None:
    make.shard(tmp_path / "test.tar", [0, 100, 200])
    from_shards = load(f"{made}/{NOTATION}", test=f"{tmp_path}/test.tar")
    np.testing.assert_array_equal(from_shards.test_images, IMAGES[[0, 100, 200]])
    assert from_shards.stream is not None
    assert from_shards.stream.pictures == sum(range(5, 17))
    for number in (0, 100):
        folder = tmp_path / "folder" / f"class {LABELS[number]}"
        folder.mkdir(parents=True)
        (folder / "a.png").write_bytes(make.png(number))
    from_folder = load(f"{made}/{NOTATION}", test=f"{tmp_path}/folder")
    np.testing.assert_array_equal(from_folder.test_images, IMAGES[[0, 100]])
    assert from_folder.test_labels.tolist() == LABELS[[0, 100]].tolist()
    (tmp_path / "folder" / "class 0").rename(tmp_path / "folder" / "wolf")
    with pytest.raises(UserError, match="has pictures of wolf; the shards know class 0, class 1"):
        load(f"{made}/{NOTATION}", test=f"{tmp_path}/folder")
    with pytest.raises(UserError, match=r"data\.test is for shards"):
        load(str(tmp_path / "folder"), test="x.tar")


def test_test_shards_with_names_of_their_own_are_matched_by_name(
    made: Path, tmp_path: Path, make: Any
) -> None:
    chosen = [0, 100, 200]
    names = sorted({f"class {LABELS[number]}" for number in chosen}, reverse=True)  # another order, and fewer
    files = [file for i in chosen for file in make.files(i, label=names.index(f"class {LABELS[i]}"))]
    make.tar(tmp_path / "test.tar", files)
    (tmp_path / "classes.txt").write_text("\n".join(names))
    data = load(f"{made}/{NOTATION}", test=f"{tmp_path}/test.tar")
    assert data.test_labels.tolist() == LABELS[chosen].tolist()
    assert sum(data.record["counts"]["test"].values()) == 3
    (tmp_path / "classes.txt").write_text("\n".join([*names, "wolf"]))
    with pytest.raises(UserError, match="has pictures of wolf; the shards know class 0, class 1"):
        load(f"{made}/{NOTATION}", test=f"{tmp_path}/test.tar")


def test_evaluating_takes_all_shards(made: Path) -> None:
    data = load(f"{made}/{NOTATION}", test_share=1.0)
    assert data.stream is None
    assert len(data.test_labels) == sum(range(5, 17))


def test_without_names_the_classes_are_numbers(own: Path) -> None:
    (own / "classes.txt").unlink()
    assert load(f"{own}/{NOTATION}").classes == tuple(map(str, range(10)))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("0", "no labels of two classes"),
        ("9" * 9, "the label 999,999,999, but fewer pictures"),
        ("9" * 50, "no l"),
    ],
)
def test_numbers_that_can_t_be_classes_are_refused(
    tmp_path: Path, make: Any, label: str, message: str
) -> None:
    for number in range(2):
        make.tar(tmp_path / f"{number}.tar", make.files(number, label=label))
    with pytest.raises(UserError, match=f"{message}.*; name the classes in classes.txt"):
        load(f"{tmp_path}/{{0..1}}.tar")


def test_the_size_follows_the_first_shard(tmp_path: Path, make: Any) -> None:
    for number in range(2):
        Image.fromarray(IMAGES[number]).resize((120, 100)).save(tmp_path / "x.jpg")
        picture = (tmp_path / "x.jpg").read_bytes()
        make.tar(
            tmp_path / f"{number}.tar",
            [("a.JPG", picture), ("a.cls", b"0"), ("b.jpg", picture), ("b.cls", b"1")],
        )
    assert load(f"{tmp_path}/{{0..1}}.tar", largest=224).test_images.shape == (2, 96, 96, 3)
    assert load(f"{tmp_path}/{{0..1}}.tar", size=40).test_images.shape == (2, 40, 40, 3)


def test_over_http_with_an_index_only_the_first_and_the_test_shards_are_fetched(own: Path, web: Any) -> None:
    counts = {f"train-{number:03d}.tar": 5 + number for number in range(12)}
    (own / "index.json").write_text(json.dumps({"samples": counts}))
    address, asked = web(own)
    data = load(f"{address}/{NOTATION}")
    assert data.stream is not None
    assert data.stream.pictures == sum(range(5, 15))
    assert [line for line in asked if line.startswith("GET") and ".tar" in line] == [
        f"GET /train-{number:03d}.tar" for number in (0, 10, 11)
    ]
    local = load(f"{own}/{NOTATION}")
    np.testing.assert_array_equal(data.test_images, local.test_images)


def test_changed_shards_are_not_gone_on_with(own: Path, web: Any, tmp_path: Path, make: Any) -> None:
    address, _ = web(own)
    for number, source in enumerate((str(own), address)):
        record = load(f"{source}/{NOTATION}").record
        claim(tmp_path / str(number), load_recipe("fast"), record)
        refuse_changed(tmp_path / str(number), load(f"{source}/{NOTATION}").record)
    make.shard(own / "train-003.tar", range(8))  # as many pictures as before
    later = time.time() + 60  # a server tells when to a second
    os.utime(own / "train-003.tar", (later, later))
    for number, source in enumerate((str(own), address)):
        with pytest.raises(UserError, match="changed since the run"):
            refuse_changed(tmp_path / str(number), load(f"{source}/{NOTATION}").record)


def test_a_shard_that_changes_before_it_is_fetched_is_refused(own: Path, web: Any, make: Any) -> None:
    address, _ = web(own)
    shard = list_shards(f"{address}/train-000.tar")[0]
    make.shard(own / "train-000.tar", range(50))
    with pytest.raises(UserError, match="it changed on the server since it was looked at; start a new run"):
        shard.open()


def test_a_server_that_says_nothing_of_its_files_is_believed_by_their_content(
    own: Path, web: Any, tmp_path: Path, make: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _ = web(own)
    monkeypatch.setattr("plusx.data.shards.files._head", lambda _: HTTPMessage())
    first = load(f"{address}/{NOTATION}").record
    assert load(f"{address}/{NOTATION}").record == first
    shutil.rmtree(cache / "shards")
    make.shard(own / "train-003.tar", range(8))  # as many pictures as before
    assert load(f"{address}/{NOTATION}").record["content"] != first["content"]


def test_a_damaged_index_in_the_cache_is_made_anew(made: Path, cache: Path) -> None:
    before = load(f"{made}/{NOTATION}").record
    for length in (100, 0):
        for kept in (cache / "shards").glob("*.npz"):
            kept.write_bytes(kept.read_bytes()[:length])
        assert load(f"{made}/{NOTATION}").record == before


def cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p.unlink(), r"train-005\.tar: no such shard \(1 of 12 are missing\)"),
        (lambda p: cut(p, p.stat().st_size // 2), r"train-005\.tar ends too early .*bring it anew"),
        (lambda p: cut(p, 512 * (p.stat().st_size // 1024) - 100), r"train-005\.tar ends too early"),
        (lambda p: cut(p, 0), r"train-005\.tar is no tar file \(empty file\)"),
        (lambda p: p.write_bytes(b"<html>not found</html>" * 100), r"train-005\.tar is no tar file"),
        (lambda p: p.write_bytes(gzip.compress(p.read_bytes())), r"is compressed; .*unpack it first"),
    ],
)
def test_a_spoilt_shard_is_one_line(own: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(own / "train-005.tar")
    with pytest.raises(UserError, match=message) as error:
        load(f"{own}/{NOTATION}")
    assert "\n" not in str(error.value)


def test_every_place_where_a_shard_can_be_cut_is_noticed(tmp_path: Path, make: Any) -> None:
    whole = make.shard(tmp_path / "0.tar", range(2)).read_bytes()
    end = len(whole.rstrip(b"\0"))
    for length in range(0, end, 256):
        (tmp_path / "0.tar").write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"ends too early|is no tar file"):
            load_shards(f"{tmp_path}/0.tar", test_share=1)


def test_what_is_not_there_or_not_enough_is_one_line(own: Path, web: Any) -> None:
    address, _ = web(own)
    for source, message in (
        (
            f"{address}/train-{{011..012}}.tar",
            r"train-012\.tar: File not found \(HTTP 404\); is it the right",
        ),
        ("http://127.0.0.1:9/train-{000..003}.tar", "doesn't answer: .*refused; check the address"),
        ("s3://bucket/train.tar", "from folders and from http:// or https:// addresses only"),
        (f"{own}/train-000.tar", r"1 shard can't be both.*--set data\.test=SHARDS"),
        (f"{own}/{{train-000,train-000}}.tar", "more than once"),
        (f"{own}/train-{{000..", r"write shards as 'DIR/train-\{000\.\.099\}\.tar'"),
    ):
        with pytest.raises(UserError, match=message) as error:
            load(source)
        assert "\n" not in str(error.value)
    (own / "classes.txt").write_text("cat\ncat\n")
    with pytest.raises(UserError, match="must name each class once"):
        load(f"{own}/{NOTATION}")


def test_too_many_test_pictures_are_refused(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PHYS_PAGES": 100, "SC_PAGE_SIZE": 1000}[name])
    with pytest.raises(UserError, match=r"more than half of this machine's memory.*data\.test_share"):
        load(f"{made}/{NOTATION}", size=32)


def test_what_counts_as_shards(tmp_path: Path) -> None:
    (tmp_path / "old {pictures}").mkdir()
    assert not is_shards(str(tmp_path / "old {pictures}"))
    assert is_shards("pictures.tar")
    assert is_shards("::".join(f"a{number}.tar" for number in range(2000)))  # longer than any path
    assert is_shards("{a,b}.tar::" * 2000 + "c-{0..9}")
    assert not is_shards("")
