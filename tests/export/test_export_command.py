"""`plusx export`, called in this process."""

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from safetensors.torch import load_file

import plusx
from plusx import cli
from plusx.inference import Classifier
from plusx.models import PRETRAINED


def call(*arguments: object) -> None:
    cli.app(["export", *map(str, arguments)], standalone_mode=False)


def fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a mistake prints, after checking that it is one line with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["plusx", "export", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("plusx: ")
    assert err.count("\n") == 1
    return err


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(PRETRAINED["cifar10"], folder / "model.safetensors")
    return folder


@pytest.fixture
def trace_once(traced, monkeypatch) -> None:
    monkeypatch.setattr("plusx.export.onnx_file.trace", lambda *_, **__: traced)


@pytest.mark.usefixtures("trace_once")
def test_onnx_goes_beside_the_weights_and_is_never_replaced_unasked(run, monkeypatch, capsys) -> None:
    call(run, "--data", "sample", "--json")
    said = json.loads(capsys.readouterr().out)
    path = run / "model.onnx"
    assert said["file"] == str(path)
    assert said["bytes"] == path.stat().st_size
    assert said["pictures"] == 200
    assert said["same_answers"] == 1
    assert 0 < said["largest_difference"] < 1e-4
    images, labels = plusx.data.sample("test")
    with plusx.engine("native"):
        answers = [answer.name for answer in plusx.load(run).predict(images)]
    right = sum(answer == plusx.data.CLASSES[label] for answer, label in zip(answers, labels, strict=True))
    assert said["accuracy"] == said["network_accuracy"] == pytest.approx(right / 200, abs=0.01)
    path.write_text("mine")
    assert "model.onnx exists; choose another --out" in fail(monkeypatch, capsys, run, "--data", "sample")
    assert path.read_text() == "mine"
    call(run, "--data", "sample", "--force")
    assert "same answer on 200" in capsys.readouterr().out
    assert path.stat().st_size == said["bytes"]


@pytest.mark.usefixtures("trace_once")
@pytest.mark.parametrize("form", ["onnx", "card"])
def test_a_bar_counts_on_a_terminal(form: str, run, monkeypatch, capsys) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    call(run, "--format", form, "--data", "sample", "--json")
    shown = capsys.readouterr()
    json.loads(shown.out)
    assert "200/200" in shown.err


@pytest.mark.usefixtures("trace_once")
def test_int8_says_its_own_accuracy_and_size_and_comes_out_the_same_twice(run, capsys) -> None:
    found = []
    for name in ("one.onnx", "two.onnx"):
        call(run, "--data", "sample", "--int8", "--json", "--out", run / name)
        found.append(json.loads(capsys.readouterr().out))
    assert found[0]["numbers"] == "int8"
    assert found[0]["calibration_pictures"] == 500
    assert found[0]["bytes"] < PRETRAINED["cifar10"].stat().st_size * 0.6  # against float16
    # Asked again here, in another way: pictures normalised by NumPy, the two files' answers by onnxruntime.
    images, labels = plusx.data.sample("test")
    card = plusx.load(run).card
    x = ((images / np.float32(255) - np.float32(card.mean)) / np.float32(card.std)).transpose(0, 3, 1, 2)
    (answers,) = InferenceSession(run / "one.onnx").run(None, {"pictures": x})
    with plusx.engine("native"):
        original = plusx.load(run).probabilities(images)
    assert found[0]["accuracy"] == pytest.approx((answers.argmax(1) == labels).mean(), abs=1e-9)
    assert found[0]["same_answers"] == pytest.approx(
        (answers.argmax(1) == original.argmax(1)).mean(), abs=0.01
    )
    assert found[0]["largest_difference"] == pytest.approx(np.abs(answers - original).max(), abs=0.05)
    assert found[0]["largest_difference"] > 1e-3  # it does compute in 8 bits
    assert (run / "one.onnx").read_bytes() == (run / "two.onnx").read_bytes()


@pytest.mark.usefixtures("trace_once")
def test_a_full_disk_leaves_nothing(run, monkeypatch, capsys) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device" in fail(monkeypatch, capsys, run, "--data", "sample")
    assert [path.name for path in run.iterdir()] == ["model.safetensors"]


def test_torch_writes_what_create_model_takes(run, capsys) -> None:
    call(run, "--format", "torch")
    said = capsys.readouterr().out
    assert "torchvision has no such network" in said
    assert 'plusx.create_model("fast", num_classes=10)' in said
    state = load_file(run / "model-state.safetensors")
    plusx.create_model("fast", num_classes=10).load_state_dict(state)
    call(run, "--format", "torch", "--out", run / "state.pth")
    again = torch.load(run / "state.pth", weights_only=True)
    assert all(torch.equal(tensor, again[name]) for name, tensor in state.items())


def test_card_of_a_run_and_of_the_network_that_comes_with_plusx(run, tmp_path, monkeypatch, capsys) -> None:
    call(run, "--format", "card", "--data", "sample")
    assert "on 200 test pictures of sample" in capsys.readouterr().out
    assert "\n# run\n" in (run / "MODEL_CARD.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    call("cifar10", "--format", "card")
    assert Path("MODEL_CARD.md").read_bytes() == PRETRAINED["cifar10"].with_name("MODEL_CARD.md").read_bytes()


def test_pictures_are_read_as_evaluate_reads_them(run, monkeypatch, capsys) -> None:
    network = plusx.load("cifar10")
    small = Classifier(network.network, replace(network.card, input_size=20))  # the sample has 32
    plusx.models.save_weights(run / "model.safetensors", small.network, small.card)
    images, labels = plusx.data.sample("test")
    with plusx.engine("native"):
        right = (small.probabilities(images).argmax(1) == labels).mean()
    call(run, "--format", "card", "--data", "sample", "--json")
    assert json.loads(capsys.readouterr().out)["accuracy"] == pytest.approx(right, abs=0.01)

    def keep(*_: object, check_on: np.ndarray, calibration: np.ndarray, **__: object) -> None:
        seen.extend((check_on, calibration))
        raise StopIteration

    seen: list[np.ndarray] = []
    monkeypatch.setattr("plusx.export.to_onnx", keep)
    with pytest.raises(StopIteration):
        call(run, "--int8", "--data", "sample")
    np.testing.assert_array_equal(seen[0], small.read(images))
    assert seen[1].shape == (500, 20, 20, 3)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["RUN", "--format", "tflite"], "'tflite' is not one of 'onnx', 'torch', 'card'"),
        (["RUN", "--format", "torch", "--int8"], "--uint8 and --int8 are for --format onnx, not for torch"),
        (["RUN", "--out", "RUN/model.pb"], "--out ends in .onnx, unlike"),
        (["RUN", "--out", "RUN/no/model.onnx"], "there is no folder"),
        (["RUN", "--format", "torch", "--force", "--out", "RUN/model.safetensors"], "the weights themselves"),
        (["RUN", "--data", "RUN/nothing"], "no such folder"),
        (["/no/run"], "there is no weights file"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(run, monkeypatch, capsys, arguments, says) -> None:
    before = (run / "model.safetensors").read_bytes()
    assert says in fail(monkeypatch, capsys, *(a.replace("RUN", str(run)) for a in arguments))
    assert [path.name for path in run.iterdir()] == ["model.safetensors"]
    assert (run / "model.safetensors").read_bytes() == before


def test_without_the_extra_the_line_says_what_to_install(run, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    said = fail(monkeypatch, capsys, run, "--data", "sample")
    assert 'needs onnx, which is not installed: pip install "plusx[export]"' in said
