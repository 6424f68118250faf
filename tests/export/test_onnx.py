"""ONNX files against the network that they came from, run here by onnxruntime without our own code."""

import copy
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from plusx.errors import UserError
from plusx.export import onnx_file, to_onnx
from plusx.inference import Classifier


def run(path: Path, pictures: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"pictures": pictures})[0]


def normalised(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    """By the formula, in float64."""
    mean, std = np.array(classifier.card.mean), np.array(classifier.card.std)
    return ((images / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)


def expected(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return classifier.network(torch.from_numpy(normalised(classifier, images))).softmax(1).numpy()


def check_standard(path: Path) -> None:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    assert [opset.domain for opset in model.opset_import] == [""]
    assert not model.functions
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
    assert b".py" not in model.SerializeToString(), "the exporter notes source lines and folders"


@pytest.mark.parametrize(
    ("name", "uint8"),
    [("fast-plain", False), ("resnet20", True), ("plain20", False), ("resnet18", True), ("resnet50", False)],
)
def test_every_family_keeps_its_answers_for_any_number_of_pictures(
    build, images, tmp_path, name: str, uint8: bool
) -> None:
    classifier, path = build(name), tmp_path / "model.onnx"
    to_onnx(classifier, path, uint8=uint8)
    check_standard(path)
    truth = expected(classifier, images[:7])
    assert truth.std(0).max() > 1e-3, "the pictures matter"
    for count in (1, 7):
        feed = images[:count] if uint8 else normalised(classifier, images[:count])
        # Two runtimes sum in other orders; fifty layers made 1.1e-5 of it on one processor, less on others.
        atol = 2e-5 if name == "resnet50" else 1e-5
        np.testing.assert_allclose(run(path, feed), truth[:count], atol=atol)


def test_the_file_says_what_its_user_has_to_know(shipped, images, tmp_path) -> None:
    path = tmp_path / "model.onnx"
    agreement = to_onnx(shipped, path, uint8=True, check_on=images)
    assert agreement.same_answers == 1
    assert 0 < agreement.largest_difference < 1e-4
    np.testing.assert_allclose(run(path, images), expected(shipped, images), atol=1e-4)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    card = shipped.card
    assert tuple(json.loads(facts["classes"])) == card.classes
    assert tuple(json.loads(facts["mean"])) == card.mean
    assert tuple(json.loads(facts["std"])) == card.std
    assert json.loads(facts["input_size"]) == card.input_size
    assert json.loads(facts["doubt"]) == card.doubt
    assert facts["input"] == "uint8 (N, 32, 32, 3), RGB"
    (given,) = session.get_inputs()
    assert given.type == "tensor(uint8)"
    assert given.shape[1:] == [32, 32, 3]
    assert isinstance(given.shape[0], str), "any number of pictures"


@pytest.fixture
def trace_once(traced, monkeypatch) -> None:
    monkeypatch.setattr(onnx_file, "trace", lambda *_, **__: copy.deepcopy(traced))


@pytest.mark.usefixtures("trace_once")
def test_int8_is_a_quarter_as_large_and_answers_alike(shipped, images, tmp_path, training_images) -> None:
    path = tmp_path / "model.onnx"
    agreement = to_onnx(shipped, path, calibration=training_images[::4], check_on=images)
    check_standard(path)
    initializers = onnx.load(path).graph.initializer
    kinds = [tensor.data_type for tensor in initializers if len(tensor.dims) == 4]
    assert set(kinds) == {onnx.TensorProto.INT8}
    parameters = sum(p.numel() for p in shipped.network.parameters())
    assert path.stat().st_size < 1.1 * parameters
    answers = run(path, normalised(shipped, images))
    np.testing.assert_array_equal(answers, agreement.probabilities)
    truth = expected(shipped, images)
    assert agreement.same_answers == (answers.argmax(1) == truth.argmax(1)).mean() >= 0.95


@pytest.mark.usefixtures("trace_once")
def test_int8_calibrated_on_the_wrong_pictures_is_not_written(shipped, images, tmp_path) -> None:
    black = np.zeros((8, 32, 32, 3), np.uint8)
    with pytest.raises(UserError, match=r"only \d+\.\d % of the answers stay"):
        to_onnx(shipped, tmp_path / "model.onnx", calibration=black, check_on=images)
    with pytest.raises(UserError, match="there are none"):
        to_onnx(shipped, tmp_path / "model.onnx", calibration=black[:0])
    assert not list(tmp_path.iterdir())


def test_a_file_that_answers_otherwise_is_not_written(shipped, traced, tmp_path, monkeypatch) -> None:
    wrong = copy.deepcopy(traced)
    (bias,) = (tensor for tensor in wrong.graph.initializer if tensor.name.endswith("shrink1.bn.bias"))
    moved = onnx.numpy_helper.to_array(bias) + np.float32(0.1)
    bias.CopyFrom(onnx.numpy_helper.from_array(moved, bias.name))
    monkeypatch.setattr(onnx_file, "trace", lambda *_, **__: wrong)
    with pytest.raises(UserError, match=r"differ from the network's by up to 0\.\d+, and 0\.001 is allowed"):
        to_onnx(shipped, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("library", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_library_is_one_line(shipped, tmp_path, monkeypatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=rf"{library}, which is not installed: pip install .plusx\[export\]"):
        to_onnx(shipped, tmp_path / "model.onnx")
