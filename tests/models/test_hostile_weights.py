"""Weights files from strangers: no code runs, no header is believed as it is, and memory stays small."""

import contextlib
import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import plusx
from plusx.errors import UserError
from plusx.models import Card, begin_from, create_model, load, model_names, save_weights

CARD = {
    "model": "fast",
    "residual": True,
    "classes": ["cat", "dog"],
    "mean": [0.5] * 3,
    "std": [0.25] * 3,
    "input_size": 32,
}
LITTLE = 2**28


def write(path: Path, header: object, size: int = 0, claims: int | None = None) -> Path:
    """A safetensors file with this header and so many zero bytes, which take no place on the disk."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text) if claims is None else claims) + text)
        file.truncate(8 + len(text) + size)
    return path


def carded(**changes: object) -> dict[str, dict[str, str]]:
    return {"__metadata__": {"plusx": json.dumps(CARD | changes)}}


def tensor(*shape: int, begin: int = 0, end: int = 0) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


def fast_with(**changes: object) -> dict[str, object]:
    """The header of a whole network of two classes, whose card claims something else."""
    header: dict[str, object] = dict(carded(**changes))
    end = 0
    for name, own in create_model("fast", num_classes=2).state_dict().items():
        begin, end = end, end + 4 * own.numel()
        header[name] = tensor(*own.shape, begin=begin, end=end)
    return header


SIZE = sum(4 * own.numel() for own in create_model("fast", num_classes=2).state_dict().values())


def test_the_stand_in_is_a_whole_file(tmp_path) -> None:
    assert load(write(tmp_path / "a.safetensors", fast_with(), SIZE)).card.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("header", "size", "claims", "says"),
    [
        (b"{}", 0, 2**60, "header too large"),
        (b"{}", 0, 99_000_000, "not a whole safetensors file"),
        (carded() | {"a": tensor(2**38, end=2**40)}, 2**40, None, "is not a whole|does not fit"),
        (carded() | {"a": tensor(2**62, 4)}, 0, None, "overflow"),
        (carded() | {"a": tensor(2, end=4)}, 4, None, "not a whole safetensors file"),
        (carded() | {str(i): tensor(0) for i in range(20_000)}, 0, None, "20,000 tensors"),
        (b'{"a":%s,"a":%s}' % ((json.dumps(tensor(1, end=4)).encode(),) * 2), 8, None, "not a whole"),
        (b"[" * 1_000_000, 0, None, "not a whole safetensors file"),
        (carded(classes=[f"class {i}" for i in range(200_000)]), 0, None, "does not fit"),
        (carded(classes=[f"class {i}" for i in range(2_000_000)]), 0, None, "damaged card .* characters"),
        ({"__metadata__": {"plusx": "[" * 1_000_000}}, 0, None, "damaged card"),
        (fast_with(model="resnet152"), SIZE, None, "does not fit"),
        (fast_with(model="\x1b[2J"), SIZE, None, r"no model '\\x1b\[2J'"),
        (fast_with(model="x" * 10_000), SIZE, None, "damaged card .model"),
        (fast_with(classes=[]), SIZE, None, "damaged card .classes"),
        (fast_with(classes=["cat", "cat"]), SIZE, None, "damaged card .classes.* twice"),
        (fast_with(classes=["cat", "\x1b]0;own\x07"]), SIZE, None, "damaged card .classes.* can't be shown"),
        (fast_with(input_size=10**9), SIZE, None, "damaged card .input_size"),
        (fast_with(input_size=0), SIZE, None, "damaged card .input_size"),
        (fast_with(mean=[0.5] * 2), SIZE, None, "damaged card .mean"),
        (fast_with(mean=[float("nan")] * 3), SIZE, None, "damaged card"),
        (fast_with(mean=[1e300] * 3), SIZE, None, "damaged card .mean"),
        (fast_with(std=[float("inf")] * 3), SIZE, None, "damaged card"),
        (fast_with(std=[0.0] * 3), SIZE, None, "damaged card .std"),
        (fast_with(std=[-0.25] * 3), SIZE, None, "damaged card .std"),
        (fast_with(doubt=7), SIZE, None, "damaged card .doubt"),
        (fast_with(doubt="10" * 5000), SIZE, None, "damaged card .doubt"),
    ],
    ids=range(27),
)
def test_a_lying_header_is_a_line(tmp_path, memory_below, header, size, claims, says) -> None:
    path = write(tmp_path / "a.safetensors", header, size, claims)
    with memory_below(LITTLE), pytest.raises(UserError, match=says) as error:
        load(path)
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)
    with memory_below(LITTLE), pytest.raises(UserError):
        begin_from(create_model("resnet20"), path)


def test_weights_that_are_no_numbers_give_a_line_and_no_answer(tmp_path) -> None:
    model = create_model("fast", num_classes=2)
    torch.nn.init.constant_(model.linear.weight, float("nan"))
    save_weights(
        tmp_path / "a.safetensors", model, Card("fast", True, ("cat", "dog"), (0.5,) * 3, (0.25,) * 3, 32)
    )
    with pytest.raises(UserError, match="what is no number"):
        plusx.load(tmp_path / "a.safetensors").predict(torch.zeros(32, 32, 3, dtype=torch.uint8).numpy())


class Call:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.call


def zipped(path: Path, pickled: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (("data.pkl", pickled), ("version", b"3\n"), ("byteorder", b"little")):
            archive.writestr(f"a/{name}", content)


NESTED = b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"K\x01s."  # as a key, it overflows the stack
PLACE = b"\x80\x02K\x01r\xff\xff\xff\x7f."


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize(
    "pickled",
    [
        NESTED,
        PLACE,
        pickle.dumps(Call(print, "never to be printed"), protocol=2),
        pickle.dumps(Call(eval, "print('never to be printed')"), protocol=4),
        pickle.dumps({"a": Call(bytearray, 2**33)}, protocol=2),
        b"\x80\x02" + b"}" * 10 + b".",
        b"",
    ],
    ids=["nested", "place", "print", "eval", "bytearray", "no state", "empty"],
)
def test_a_pickle_is_looked_through_before_it_is_obeyed(tmp_path, memory_below, capsys, pickled, old) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(pickled) if old else zipped(path, pickled)
    with memory_below(LITTLE), pytest.raises(UserError, match=r"a\.pth (is no whole file|holds)"):
        begin_from(create_model("resnet20"), path)
    assert capsys.readouterr().out == ""


def test_a_compressed_checkpoint_is_refused_before_it_is_unpacked(tmp_path, memory_below) -> None:
    whole = io.BytesIO()
    torch.save({"a": torch.zeros(4)}, whole)
    pickled = zipfile.ZipFile(whole).read("archive/data.pkl")
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3\n")
        with archive.open("archive/data/0", "w") as part:
            for _ in range(32):
                part.write(bytes(2**24))
    assert path.stat().st_size < 2**21
    with memory_below(LITTLE), pytest.raises(UserError, match="no whole file of tensors alone"):
        begin_from(create_model("resnet20"), path)


def test_a_checkpoint_larger_than_its_network_is_not_opened(tmp_path) -> None:
    path = tmp_path / "a.pth"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UserError, match="larger than any weights of this network"):
        begin_from(create_model("resnet20"), path)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_pipe_is_not_waited_for(tmp_path, suffix) -> None:
    os.mkfifo(tmp_path / f"a.{suffix}")
    with pytest.raises(UserError, match="there is no weights file"):
        begin_from(create_model("resnet20"), tmp_path / f"a.{suffix}")


@pytest.mark.parametrize(
    "state",
    [
        {1: torch.zeros(1)},
        {"conv1.weight": torch.zeros(16, 3, 3, 3).to_sparse()},
        {"conv1.weight": torch.empty(16, 3, 3, 3, device="meta")},
        [torch.zeros(1)],
    ],
    ids=["numbered", "sparse", "meta", "list"],
)
def test_what_is_no_plain_tensor_by_name_is_a_line(tmp_path, state) -> None:
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"holds more than tensors|no whole file of tensors"):
        begin_from(create_model("resnet20"), tmp_path / "a.pth")


@pytest.mark.parametrize("new", [True, False])
def test_checkpoints_of_both_formats_are_still_read(tmp_path, new) -> None:
    trained, fresh = create_model("resnet20"), create_model("resnet20")
    torch.save(trained.state_dict(), tmp_path / "a.pth", _use_new_zipfile_serialization=new)
    assert begin_from(fresh, tmp_path / "a.pth") is None
    assert torch.equal(fresh.linear.weight, trained.linear.weight)


def whole() -> bytes:
    return Path(plusx.models.PRETRAINED["cifar10"]).read_bytes()


@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(0, 9000), st.binary(min_size=1, max_size=8)), max_size=4),
    cut=st.one_of(st.just(1.0), st.floats(0.0, 1.0)),
)
def test_damage_anywhere_in_the_header_is_a_line_or_a_network(tmp_path_factory, places, cut) -> None:
    content = bytearray(whole())
    for place, change in places:
        content[place : place + len(change)] = change
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes(content[: round(cut * len(content))])
    with contextlib.suppress(UserError):
        assert load(path).card.model in model_names()
