"""The model card: its header is YAML, its figures are those of the answers, its examples run."""

import contextlib
import dataclasses
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import plusx
from plusx.errors import UserError
from plusx.export import Measured, model_card, to_onnx
from plusx.inference import Classifier
from plusx.models import PRETRAINED, Card

SEED0 = Path(__file__).parents[2] / "docs" / "results" / "fast" / "seed0"


def header(text: str) -> Any:
    begin, front, _ = text.split("---\n", 2)
    assert begin == ""
    return yaml.safe_load(front)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "fast-seed0"
    folder.mkdir()
    for name in ("result.json", "environment.json", "recipe.toml"):
        shutil.copy(SEED0 / name, folder)
    shutil.copy(PRETRAINED["cifar10"], folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def measured(shipped, images) -> Measured:
    return Measured("sample", plusx.data.sample("test")[1], shipped.probabilities(images))


@pytest.fixture(scope="module")
def card(shipped, measured, run) -> str:
    return model_card("fast-seed0", shipped, measured, run=run)


def test_the_header_has_the_hub_s_fields(card, measured) -> None:
    facts = header(card)
    assert facts["library_name"] == "plusx"
    assert facts["license"] == "unknown"
    assert facts["pipeline_tag"] == "image-classification"
    assert facts["datasets"] == ["cifar10"]
    assert facts["metrics"] == ["accuracy"]
    assert "fast" in facts["tags"]
    (model,) = facts["model-index"]
    assert model["name"] == "fast-seed0"
    (result,) = model["results"]
    assert result["task"]["type"] == "image-classification"
    assert result["dataset"] == {"type": "cifar10", "name": "sample", "split": "test"}
    accuracy = (measured.probabilities.argmax(1) == measured.labels).mean()
    assert result["metrics"] == [{"type": "accuracy", "name": "Accuracy", "value": round(accuracy, 4)}]


def test_the_figures_are_those_of_the_answers(card, measured) -> None:
    answers, labels = measured.probabilities.argmax(1), measured.labels
    assert f"**{100 * (answers == labels).mean():.2f} %**" in card
    for number, name in enumerate(plusx.data.CLASSES):
        right = ((answers == number) & (labels == number)).sum()
        precision, recall = right / (answers == number).sum(), right / (labels == number).sum()
        assert f"| {name} | 20 | {100 * precision:.1f} % | {100 * recall:.1f} % |" in card
    wrong = measured.probabilities.max(1)[answers != labels]
    assert f"so are {100 * (wrong < 0.4939).mean():.0f} % of the wrong answers" in card or wrong.size == 0


def test_it_says_how_the_network_was_made(card) -> None:
    result, environment = (json.loads((SEED0 / f"{n}.json").read_text()) for n in ("result", "environment"))
    assert f"`{environment['command']}` on {environment['date'][:10]}" in card
    assert f"{100 * result['test_accuracy']:.2f} % after its last epoch" in card
    minutes = result["seconds"]["train"] / 60
    assert f"recipe `fast`, seed 0, 10 epochs, {minutes:.1f} minutes" in card
    assert "50,000 of CIFAR-10" in card
    assert f"torch {environment['torch']}" in card


def test_pictures_of_a_folder_are_counted_and_those_held_out_are_not(
    shipped, measured, run, tmp_path
) -> None:
    recipe = (run / "recipe.toml").read_text().replace('"cifar10"', '"/home/me/pets"')
    (tmp_path / "recipe.toml").write_text(recipe.replace("validation = 0", "validation = 4"))
    counts = {"train": {"cat": 30, "dog": 20}, "test": {"cat": 5, "dog": 5}}
    (tmp_path / "data.json").write_text(
        json.dumps({"folder": "/home/me/pets", "content": "0", "counts": counts})
    )
    text = model_card("pets", shipped, measured, run=tmp_path)
    assert "46 of the folder `pets`" in text
    assert "/home/me" not in text
    assert "datasets" not in header(text)


@pytest.mark.parametrize("name", ["cifar10", "sample"])
def test_a_folder_is_not_cifar10_whatever_it_is_called(shipped, measured, run, tmp_path, name) -> None:
    recipe = (run / "recipe.toml").read_text().replace('"cifar10"', f'"/home/me/{name}"')
    (tmp_path / "recipe.toml").write_text(recipe)
    counts = {"train": {"cat": 30, "dog": 20}, "test": {"cat": 5, "dog": 5}}
    record = {"folder": f"/home/me/{name}", "content": "0", "counts": counts}
    (tmp_path / "data.json").write_text(json.dumps(record))
    text = model_card("pets", shipped, dataclasses.replace(measured, data=name, own=True), run=tmp_path)
    assert f"50 of the folder `{name}`" in text
    assert "datasets" not in header(text)
    assert header(text)["model-index"][0]["results"][0]["dataset"]["type"] == "imagefolder"


def test_pictures_of_shards_are_counted(shipped, measured, run, tmp_path) -> None:
    recipe = (run / "recipe.toml").read_text().replace('"cifar10"', '"shards/pets"')
    (tmp_path / "recipe.toml").write_text(recipe)
    record = {"folder": "shards/pets", "content": "0"}
    record |= {"samples": {"train": 1234, "test": 5}, "counts": {"test": {"cat": 5}}}
    (tmp_path / "data.json").write_text(json.dumps(record))
    assert "1,234 of the folder `pets`" in model_card("pets", shipped, measured, run=tmp_path)


def test_a_damaged_file_of_the_run_is_one_line(shipped, measured, tmp_path) -> None:
    (tmp_path / "result.json").write_text('{"recipe":')
    with pytest.raises(UserError, match=r"result\.json can't be read"):
        model_card("pets", shipped, measured, run=tmp_path)


def test_weights_without_a_run_say_so(shipped, measured) -> None:
    text = model_card("weights", shipped, measured, weights="weights.safetensors")
    assert "how they were trained is not known" in text
    assert "Command" not in text
    assert "datasets" not in header(text)


def test_the_examples_run(card, run, shipped, images, tmp_path, monkeypatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # as a camera held upright writes it: to be turned by 90°
    Image.fromarray(images[0]).resize((90, 60)).save(tmp_path / "picture.jpg", exif=exif)
    to_onnx(shipped, tmp_path / "model-uint8.onnx", uint8=True)
    shutil.copy(run / "model.safetensors", tmp_path)
    monkeypatch.chdir(tmp_path)
    (answer,) = shipped.predict("picture.jpg")
    said = []
    for example in re.findall(r"```python\n(.*?)```", card, re.DOTALL):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(example, "card", "exec"), {})
        name, probability = out.getvalue().split()
        assert name == answer.name
        said.append(float(probability))
    assert said == pytest.approx([answer.probability] * 2, abs=0.02)  # perhaps bfloat16 against float32


@given(
    name=st.text(min_size=1), data=st.text(min_size=1), classes=st.lists(st.text(), min_size=2, max_size=3)
)
def test_any_name_keeps_the_header_and_the_tables_whole(
    shipped: Classifier, name: str, data: str, classes: list[str]
) -> None:
    count = len(classes)
    network = plusx.inference.Classifier(
        shipped.network, Card("fast", True, tuple(classes), (0.5,) * 3, (0.25,) * 3, 32)
    )
    text = model_card(name, network, Measured(data, np.arange(count), np.eye(count, dtype=np.float32)))
    facts = header(text)
    (model,) = facts["model-index"]
    if name.isprintable() and data.isprintable():
        assert model["name"] == name
        assert model["results"][0]["dataset"]["name"] == data
    rows = [line for line in text.splitlines() if line.startswith("| ") and "%" in line]
    assert len(rows) == count
    assert all(len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 6 for row in rows)
    assert text.count("\n## ") == 4
