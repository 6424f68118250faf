"""Beginning from trained weights: everything is taken over but a head for other classes."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from plusx.errors import UserError
from plusx.models import Card, begin_from, create_model, load, save_weights

CARD = Card("resnet20", True, ("a", "b", "c"), (0.5,) * 3, (0.25,) * 3, 32)


def same(model: torch.nn.Module, other: torch.nn.Module) -> set[str]:
    state = other.state_dict()
    return {name for name, tensor in model.state_dict().items() if torch.equal(tensor, state[name])}


def test_the_same_classes_keep_the_head(tmp_path: Path) -> None:
    trained, fresh = (create_model("resnet20", num_classes=3) for _ in range(2))
    save_weights(tmp_path / "model.safetensors", trained, CARD)
    assert begin_from(fresh, tmp_path) == CARD
    assert same(fresh, trained) == set(trained.state_dict())


@pytest.mark.parametrize("classes", [("car", "bus", "tram"), ("c", "b", "a")])
def test_as_many_other_classes_get_a_fresh_head_too(tmp_path: Path, classes: tuple[str, ...]) -> None:
    trained, fresh = (create_model("resnet20", num_classes=3) for _ in range(2))
    save_weights(tmp_path / "model.safetensors", trained, CARD)
    head = {name: tensor.clone() for name, tensor in fresh.linear.state_dict().items()}
    begin_from(fresh, tmp_path, classes)
    assert all(torch.equal(tensor, head[name]) for name, tensor in fresh.linear.state_dict().items())
    assert torch.equal(fresh.conv1.weight, trained.conv1.weight)
    begin_from(fresh, tmp_path, CARD.classes)
    assert torch.equal(fresh.linear.weight, trained.linear.weight)


def test_half_a_head_is_none(tmp_path: Path) -> None:
    trained, fresh = (create_model("resnet20", num_classes=3) for _ in range(2))
    state = {name: tensor for name, tensor in trained.state_dict().items() if name != "linear.bias"}
    save_file(state, tmp_path / "half.safetensors")
    head = fresh.linear.weight.clone()
    begin_from(fresh, tmp_path / "half.safetensors")
    assert torch.equal(fresh.linear.weight, head)
    assert torch.equal(fresh.conv1.weight, trained.conv1.weight)


def test_a_checkpoint_as_training_scripts_keep_it(tmp_path: Path) -> None:
    trained, fresh = (create_model("resnet20") for _ in range(2))
    state = {f"module.{n}": t for n, t in trained.state_dict().items() if "num_batches" not in n}
    torch.save({"state_dict": state, "best_prec1": 91.25, "epoch": 200}, tmp_path / "resnet20.th")
    assert begin_from(fresh, tmp_path / "resnet20.th") is None
    assert same(fresh, trained) == set(trained.state_dict())


def test_a_folder_of_pictures_called_as_the_network_is_not_in_its_way(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar10" / "cat").mkdir(parents=True)
    assert load("cifar10").card.classes[3] == "cat"
    save_weights(tmp_path / "cifar10" / "model.safetensors", create_model("resnet20", num_classes=3), CARD)
    assert load("cifar10").card == CARD


def test_other_classes_get_a_fresh_head(tmp_path: Path) -> None:
    fresh = create_model("fast", num_classes=4)
    head = fresh.linear.weight.clone()
    assert begin_from(fresh, "cifar10") == load("cifar10").card
    trained = load("cifar10").state_dict()
    for name, tensor in fresh.state_dict().items():
        expected = head if name == "linear.weight" else trained[name]
        assert torch.equal(tensor, expected), name


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_public_checkpoint_of_1000_classes(tmp_path: Path, suffix: str) -> None:
    trained, fresh = create_model("resnet18"), create_model("resnet18", num_classes=5)
    state = {f"module.{name}": tensor for name, tensor in trained.state_dict().items()}
    path = tmp_path / f"resnet18.{suffix}"
    torch.save(state, path) if suffix == "pth" else save_file(state, path)
    assert begin_from(fresh, path) is None
    own = fresh.state_dict()
    for name, tensor in trained.state_dict().items():
        assert torch.equal(own[name], tensor) != name.startswith("fc."), name


class Harm:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("this must never be printed",)


def test_what_can_t_be_begun_from_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_weights(tmp_path / "other.safetensors", create_model("resnet20", num_classes=3), CARD)
    (tmp_path / "harm.pth").write_bytes(pickle.dumps(Harm()))
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    torch.save({"epoch": 3}, tmp_path / "whole.pth")
    counter = {"layer1.0.bn1.num_batches_tracked": torch.zeros(2, 2, dtype=torch.int64)}
    save_file(create_model("resnet20").state_dict() | counter, tmp_path / "counter.safetensors")
    for name, message in (
        ("other.safetensors", "holds another network: .* first '"),
        ("harm.pth", "no whole file of tensors alone"),
        ("junk.safetensors", "not a whole safetensors file"),
        ("whole.pth", "more than tensors by name"),
        ("counter.safetensors", "holds another network: 1 tensors .* 'layer1.0.bn1.num_batches_tracked'"),
        ("nowhere.pth", "there is no weights file"),
        ("nowhere", "there is no weights file"),
    ):
        with pytest.raises(UserError, match=message) as error:
            begin_from(create_model("resnet20" if "counter" in name else "fast"), tmp_path / name)
        assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""
