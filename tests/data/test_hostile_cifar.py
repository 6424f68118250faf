"""Files that pass for CIFAR-10: pickles made to use up memory or stack, archives that unpack to gigabytes."""

import contextlib
import gzip
import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plusx.data.layouts import LARGEST, survey
from plusx.data.unpickle import from_python
from plusx.pickles import names_in

LITTLE = 2**28


def nested_labels() -> bytes:
    """A list of two times the same list of two times …: 2³⁰ labels in 300 bytes."""
    lists = b"]r" + struct.pack("<I", 256) + b"(K\x00K\x00e0"
    for i in range(257, 286):
        twice = (b"j" + struct.pack("<I", i - 1)) * 2
        lists += b"](" + twice + b"er" + struct.pack("<I", i) + b"0"
    data = pickle.dumps(np.zeros((2, 3072), np.uint8), 2)[2:-1]
    return b"\x80\x02" + lists + b"}U\x06labelsj" + struct.pack("<I", 285) + b"sU\x04data" + data + b"s."


def decoded_again() -> bytes:
    """The same megabyte decoded ten thousand times."""
    text = b"X" + struct.pack("<I", 2**20) + b"a" * 2**20
    call = b"c_codecs\nencode\nq\x00" + text + b"X\x06\x00\x00\x00latin1\x86q\x01R"
    return b"\x80\x02]" + b"(" + call + b"h\x00h\x01R" * 10_000 + b"e."


PICKLES = {
    "a place far out in the memo": b"\x80\x02K\x01r\xff\xff\xff\x7f.",
    "a key of tuples nested 200 000 deep": b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"K\x01s.",
    "a billion labels": nested_labels(),
    "the same bytes again and again": decoded_again(),
    "bytes that are not there": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b".",
    "a number of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
    "labels that are one number": pickle.dumps({"labels": 10**12, "data": np.zeros((1, 3072), np.uint8)}, 2),
}


@pytest.mark.parametrize("content", PICKLES.values(), ids=PICKLES)
def test_a_pickle_made_to_use_up_memory_is_refused(memory_below, content) -> None:
    with memory_below(LITTLE), pytest.raises(ValueError, match="it is not a batch"):
        from_python(content)


def test_what_a_pickle_names_is_shown_without_being_obeyed() -> None:
    hostile = b"c\x1b[2J\x9b31m" + b"x" * 5000 + b"\nprint\n."
    with pytest.raises(ValueError, match=r"asks for \\x1b|it is not a batch") as error:
        from_python(hostile)
    assert "\x1b" not in str(error.value)
    assert len(str(error.value)) < 400
    assert names_in(pickle.dumps(print, 0), 10) == {"__builtin__ print"}


def bomb(path: Path, *members: tarfile.TarInfo, zeros: int = 0) -> Path:
    """An archive of headers, with so many zero bytes behind each."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        for member in members:
            file.write(member.tobuf(tarfile.GNU_FORMAT))
            for _ in range(zeros // 2**20):
                file.write(bytes(2**20))
    return path


def member(name: str = "test_batch.bin", size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info


ARCHIVES = {
    "a file of 8 EiB": ([member(size=2**63 - 1)], 0),
    "a long name of 512 MiB": ([member(size=2**29, kind=tarfile.GNUTYPE_LONGNAME)], 2**29),
    "a pax header of 512 MiB": ([member(size=2**29, kind=tarfile.XHDTYPE)], 2**29),
    "10 000 files": ([member(f"{i}") for i in range(10_000)], 0),
    "2 000 long names, one in another": ([member(kind=tarfile.GNUTYPE_LONGNAME)] * 2000, 0),
}


@pytest.mark.parametrize(("members", "zeros"), ARCHIVES.values(), ids=ARCHIVES)
def test_an_archive_made_to_use_up_memory_is_a_fault(fake, tmp_path, memory_below, members, zeros) -> None:
    bomb(tmp_path / "cifar-10-binary.tar.gz", *members, zeros=zeros)
    with memory_below(LITTLE):
        found = survey(tmp_path, fake.table)
    assert all(str(batch.fault).startswith("the archive is broken (") for batch in found.values())
    assert len(found) == len(fake.table)


def test_no_more_of_a_file_is_read_than_a_batch_can_have(fake, tmp_path, memory_below) -> None:
    with (tmp_path / "test_batch.bin").open("wb") as file:
        file.truncate(2**40)
    with memory_below(LITTLE):
        found = survey(tmp_path, fake.table)
    assert len(found["test_batch"].content) == LARGEST + 1
    assert "SHA-256 is not" in str(found["test_batch"].fault)


@settings(max_examples=200, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=4)), max_size=4),
    cut=st.one_of(st.just(1.0), st.floats(0.0, 1.0)),
)
def test_damage_anywhere_in_a_pickle_is_a_value_error_or_a_batch(fake, places, cut) -> None:
    content = bytearray(fake.files("py")["test_batch"])
    for place, change in places:
        start = place % len(content)
        content[start : start + len(change)] = change
    with contextlib.suppress(ValueError):
        assert isinstance(from_python(bytes(content[: round(cut * len(content))])), bytes)


@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=4)), max_size=4),
)
def test_damage_anywhere_in_the_headers_of_an_archive_is_a_fault(fake, tmp_path_factory, places) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, content in fake.files("bin").items():
            info = member(name, len(content))
            archive.addfile(info, io.BytesIO(content))
    damaged = bytearray(plain.getvalue())
    for place, change in places:
        damaged[place : place + len(change)] = change
    root = tmp_path_factory.mktemp("archive")
    (root / "cifar-10-binary.tar.gz").write_bytes(gzip.compress(bytes(damaged), 1))
    for name, batch in survey(root, fake.table).items():
        assert batch.fault or batch.content == fake.contents[name]
