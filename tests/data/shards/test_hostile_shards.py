"""Shards from strangers: headers that lead in circles or lie, labels and texts made to use up memory."""

import contextlib
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from plusx.data import ShardFeed, load
from plusx.data.shards import list_shards
from plusx.errors import UserError

LITTLE = 2**28
QUIET = Console(quiet=True)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def pax(text: bytes) -> bytes:
    record = f"{len(text) + 3} ".encode() + text + b"\n"
    return header("x", len(record), tarfile.XHDTYPE) + record.ljust(tarfile.BLOCKSIZE, b"\0")


SHARDS = {
    "a size below zero": header("a.png", -1024) + bytes(1024),
    "a pax size below zero": pax(b"size=-2048") + header("a.png", 0) + bytes(1024),
    "a long name of 8 GiB": header("a", 2**33, tarfile.GNUTYPE_LONGNAME) + bytes(1024),
    "2 000 long names, one in another": header("a", 0, tarfile.GNUTYPE_LONGNAME) * 2000,
    "no tar file": b"x" * 2000,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("content", SHARDS.values(), ids=SHARDS)
def test_a_hostile_header_is_a_line(tmp_path, memory_below, content) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    says = r"a\.tar (is no tar file|ends too early)"
    with memory_below(LITTLE), pytest.raises(UserError, match=says) as error:
        ShardFeed(list_shards(str(tmp_path / "a.tar")))
    assert len(str(error.value)) < 500


def test_a_picture_of_a_tebibyte_is_a_fault_and_not_read(make, tmp_path, memory_below) -> None:
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        for name, content in [*make.files(0), ("b.cls", b"3")]:
            blocks = -(-len(content) // tarfile.BLOCKSIZE)
            file.write(header(name, len(content)) + content.ljust(blocks * tarfile.BLOCKSIZE, b"\0"))
        file.write(header("b.png", 2**40))
        file.truncate(file.tell() + 2**40 + 2 * tarfile.BLOCKSIZE)  # takes no place on the disk
    with memory_below(LITTLE):
        feed = ShardFeed(list_shards(str(path)), classes=10)
        _, labels = feed.read(np.arange(2))
    assert len(labels) == 1
    assert feed.faults == {"a.tar/b.png": "too big a picture"}


@pytest.mark.parametrize("label", ["9" * 60, "1000000000", "-1", "\x1b[2J", "٣"])
def test_a_label_is_no_larger_than_networks_have_classes(make, tmp_path, memory_below, label) -> None:
    for number in (1, 2):
        files = [*make.files(0), *make.files(100), *make.files(200, label)]
        make.tar(tmp_path / f"{number}.tar", files)
    with memory_below(LITTLE):
        data = load(f"{tmp_path}/{{1..2}}.tar", console=QUIET)
    assert data.classes == ("0", "1")
    assert set(data.record["skipped"]) == {"1.tar/000200.png", "2.tar/000200.png"}


@pytest.mark.parametrize(
    "counts", ["9" * 5000, "1e999", "-5", "10000000000000", '"7"', "[" * 100_000, "null", "true"]
)
def test_counts_are_believed_only_if_they_can_be_true(made, web, memory_below, counts) -> None:
    text = '{"samples": {"train-000.tar": COUNT, "train-001.tar": 6}}'
    (made / "index.json").write_text(text.replace("COUNT", counts))
    address, _ = web(made)
    with memory_below(LITTLE):
        data = load(f"{address}/train-{{000..001}}.tar", console=QUIET)
    (made / "index.json").unlink()
    assert data.record["samples"] == {"train": 5, "test": 6}


@pytest.mark.parametrize("text", ["a\nb\x1b[2J\n", "a\na\n", "x" * (2**24 + 1), "\udcff\nb\n"])
def test_class_names_of_shards_can_be_shown(make, tmp_path, text) -> None:
    make.shard(tmp_path / "1.tar", [0, 100])
    make.shard(tmp_path / "2.tar", [0, 100])
    (tmp_path / "classes.txt").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"must name each class once|can't be read"):
        load(f"{tmp_path}/{{1..2}}.tar", console=QUIET)


@settings(max_examples=80, deadline=None)
@given(places=st.lists(st.tuples(st.integers(0, 8000), st.binary(min_size=1, max_size=8)), max_size=4))
def test_damage_anywhere_is_a_line_or_samples(tmp_path_factory, make, places) -> None:
    folder = tmp_path_factory.mktemp("shard")
    content = bytearray(make.shard(folder / "a.tar", [0, 1]).read_bytes())
    for place, change in places:
        content[place : place + len(change)] = change
    (folder / "a.tar").write_bytes(content)
    with contextlib.suppress(UserError):
        feed = ShardFeed(list_shards(str(folder / "a.tar")), classes=10)
        images, labels = feed.read(np.arange(feed.pictures))
        assert len(images) == len(labels) <= feed.pictures
