"""Weights files: what is saved comes back, and what is broken is told in one line."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import plusx
from plusx.errors import UserError
from plusx.models import Card, create_model, load, save_weights

CARD = Card(
    model="resnet20",
    residual=True,
    classes=("cat", "dog", "狗"),
    mean=(0.49, 0.48, 0.45),
    std=(0.25, 0.24, 0.26),
    input_size=32,
)


@pytest.fixture
def saved(tmp_path, filled) -> Path:
    """A run directory with a network of arbitrary weights in it."""
    model = create_model("resnet20", num_classes=3)
    model.load_state_dict(filled(model))
    save_weights(tmp_path / "model.safetensors", model, CARD)
    return tmp_path


def refused(path: Path) -> str:
    """What `load` says, which has to be one line that names the file or folder."""
    with pytest.raises(UserError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize("name", ["resnet20", "plain20", "resnet18", "fast", "fast-plain"])
def test_a_network_comes_back_bit_by_bit(tmp_path, name, filled):
    model = create_model(name, num_classes=4).to(memory_format=torch.channels_last)
    model.load_state_dict(filled(model))
    card = Card(name, True, ("a", "b", "c", "d"), CARD.mean, CARD.std, 32)
    save_weights(tmp_path / "some.safetensors", model, card)
    back = load(tmp_path / "some.safetensors")
    assert back.card == card
    assert not back.training
    assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in back.state_dict().items())


def test_the_card_says_whether_the_network_was_plain(tmp_path):
    model = create_model("resnet20", residual=False)
    card = Card("resnet20", False, tuple("0123456789"), CARD.mean, CARD.std, 32)
    save_weights(tmp_path / "plain.safetensors", model, card)
    assert not load(tmp_path / "plain.safetensors").layer1[0].residual


def test_a_run_directory_a_file_and_a_string_mean_the_same(saved):
    x = torch.randn(1, 3, 32, 32)
    expected = load(saved)(x)
    assert torch.equal(load(saved / "model.safetensors")(x), expected)
    assert torch.equal(plusx.load(str(saved))(x), expected)
    assert load(saved).card == CARD


def test_weights_go_into_the_network_that_is_given_or_nowhere(saved):
    twin = create_model("resnet20", num_classes=3)
    torch.nn.init.zeros_(next(twin.parameters()))
    assert load(saved, into=twin) is twin
    assert next(twin.parameters()).any()
    with pytest.raises(UserError, match="missing, unknown or of another shape"):
        load(saved, into=torch.nn.Sequential())  # which is false as a list is


def test_saving_leaves_nothing_else_behind(saved):
    assert [path.name for path in saved.iterdir()] == ["model.safetensors"]


def test_a_write_that_breaks_off_leaves_the_old_file(saved, monkeypatch):
    def break_off(_: int) -> None:
        raise OSError(28, "No space left on device")

    before = (saved / "model.safetensors").read_bytes()
    monkeypatch.setattr(os, "fsync", break_off)
    with pytest.raises(OSError, match="No space"):
        save_weights(saved / "model.safetensors", create_model("resnet20", num_classes=3), CARD)
    assert (saved / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_a_cut_off_file_is_refused(saved, length):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    assert "not a whole safetensors file" in refused(path)


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"PK\x03\x04" + bytes(1000))
    assert "not a whole safetensors file" in refused(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_foreign_safetensors_are_refused_with_the_way_to_load_them(tmp_path, metadata):
    path = tmp_path / "foreign.safetensors"
    save_file(create_model("resnet20").state_dict(), path, metadata)
    assert "load_state" in refused(path)


def test_a_missing_file_is_refused(tmp_path):
    assert "no weights file" in refused(tmp_path / "nowhere.safetensors")


def test_a_folder_without_weights_is_refused(tmp_path):
    assert "model.safetensors" in refused(tmp_path)


def write_with_card(path: Path, card: str) -> None:
    save_file(create_model("resnet20", num_classes=3).state_dict(), path, {"plusx": card})


GOOD = {
    "model": "resnet20",
    "residual": True,
    "classes": list("abc"),
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
    "input_size": 32,
}


def test_a_card_is_plain_json(tmp_path):
    write_with_card(tmp_path / "model.safetensors", json.dumps(GOOD))
    assert load(tmp_path).card.classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("card", "says"),
    [
        ("{", "JSON"),
        ("[]", "card"),
        (json.dumps({key: value for key, value in GOOD.items() if key != "mean"}), "mean"),
        (json.dumps({**GOOD, "classes": 3}), "classes"),
    ],
)
def test_a_damaged_card_is_refused(tmp_path, card, says):
    path = tmp_path / "model.safetensors"
    write_with_card(path, card)
    assert says in refused(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": "resnet32"}, "layer1.3"),
        ({"classes": list("abcd")}, "linear"),
        ({"model": "resnet18"}, "bn1"),
    ],
)
def test_tensors_of_another_network_are_refused(tmp_path, change, says):
    path = tmp_path / "model.safetensors"
    write_with_card(path, json.dumps({**GOOD, **change}))
    message = refused(path)
    assert says in message
    assert len(message) < 300 + len(str(path))


def test_a_network_that_no_longer_exists_is_refused(tmp_path):
    write_with_card(tmp_path / "model.safetensors", json.dumps({**GOOD, "model": "alexnet"}))
    with pytest.raises(UserError, match="'alexnet'"):
        load(tmp_path)
