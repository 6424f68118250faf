"""Runs from strangers, or edited by hand: recipes, checkpoints, journals and records."""

import hashlib
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from plusx.errors import UserError
from plusx.models import create_model
from plusx.report.run_files import read_files
from plusx.train import claim, load_recipe, parse_setting, refuse_changed
from plusx.train.checkpoint import Position, newest_checkpoint, restore, save_checkpoint
from plusx.train.journal import Journal
from plusx.train.optim import make_optimizers
from plusx.train.processes import Processes
from plusx.train.recipe import setting_keys, to_toml

LITTLE = 2**28

RECIPES = {
    "nested": b"a = " + b"[" * 60_000,
    "nested tables": b"[" + b".".join([b"a"] * 30_000) + b"]",
    "a number of 5 000 digits": b"[training]\nepochs = " + b"9" * 5000,
    "a number of 400 digits": b"[training]\nepochs = " + b"9" * 400,
    "batches": b"[training]\nbatch_size = 1000000000000",
    "endless rate": b"[optimizer]\nlearning_rate = inf",
    "rate that is none": b"[optimizer]\nlearning_rate = nan",
    "a size of 10**9": b"[data]\nsize = 1000000000",
    "not text": b"\xff\xfe",
    "65 KiB": b"#" * (2**16 + 2**10),
    "a table that is none": b"training = 3",
    "a name that leads out": b'name = "../../../home"',
    "a name that acts": b'name = "\\u001b[2J"',
    "a name too long for a file": b'name = "' + b"x" * 300 + b'"',
    "an unknown key that acts": b'"\\u001b[2J" = 3',
    "a model that acts": b'[model]\nname = "\\u001b[2J"',
}


@pytest.mark.parametrize("content", RECIPES.values(), ids=RECIPES)
def test_a_hostile_recipe_is_a_line(tmp_path, memory_below, content) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with memory_below(LITTLE), pytest.raises(UserError) as error:
        load_recipe(str(tmp_path / "a.toml"), {"training.seed": 1})
    assert "\x1b" not in str(error.value)


@settings(max_examples=200, deadline=None)
@given(key=st.sampled_from(setting_keys()), value=st.one_of(st.text(max_size=20), st.integers(), st.floats()))
def test_any_setting_is_a_line_or_survives_being_written(tmp_path_factory, key, value) -> None:
    path = tmp_path_factory.getbasetemp() / "written.toml"
    try:
        recipe = load_recipe("fast", dict([parse_setting(f"{key}={value}")]))
    except UserError:
        return
    path.write_text(to_toml(recipe), encoding="utf-8")
    assert load_recipe(str(path)) == recipe


def stranger_s(run: Path, content: bytes) -> Path:
    """A checkpoint of anything, under the name that says it is whole."""
    (run / "checkpoints").mkdir(exist_ok=True)
    path = run / "checkpoints" / f"00000008-{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
    path.write_bytes(content)
    return path


@pytest.fixture
def parts():
    """A network with two optimisers that have taken a step."""
    recipe = load_recipe("fast")
    model = create_model("fast", num_classes=3)
    optimizers = make_optimizers(model, recipe.optimizer, torch.float32)
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    for optimizer in optimizers:
        optimizer.step()
    return model, optimizers


def position(**changes: object) -> dict[str, str]:
    return {"position": json.dumps({"step": 8, **changes})}


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"position": "["},
        {"position": "[" * 100_000},
        {"position": "3"},
        position(step=-1),
        position(step=10**400),
        position(seen=math.nan),
        position(loss_sum=math.inf),
        position(epoch_seconds=-5.0),
        position(processes=0),
    ],
)
def test_a_position_that_can_t_be_is_a_line(parts, tmp_path, metadata) -> None:
    model, optimizers = parts
    good = load(save_checkpoint(tmp_path, Position(8), model, optimizers, None).read_bytes())
    with pytest.raises(UserError, match="does not fit this run") as error:
        restore(save(good, metadata), model, optimizers, None)
    assert "\n" not in str(error.value)


def test_tensors_that_don_t_fit_are_a_line(parts, tmp_path) -> None:
    model, optimizers = parts
    good = load(save_checkpoint(tmp_path, Position(8), model, optimizers, None).read_bytes())
    assert restore(save(good, position()), model, optimizers, None).step == 8
    momentum = next(name for name in good if name.startswith("optimizer.0."))
    head = "model.linear.weight"
    for change in (
        {head: None},
        {head: torch.zeros(7, 512)},
        {"model.more": torch.zeros(1)},
        {momentum: torch.zeros(3)},
        {"optimizer.0.999.momentum_buffer": torch.zeros(3)},
        {"optimizer.0.x.y.z": torch.zeros(3)},
        {"optimizer.0.-1.momentum_buffer": torch.zeros(5, 5, 5)},
    ):
        state = {name: tensor for name, tensor in {**good, **change}.items() if tensor is not None}
        with pytest.raises(UserError, match="does not fit this run"):
            restore(save(state, position()), model, optimizers, None)
    for content in (b"", b"\xff" * 8, (2**60).to_bytes(8, "little") + b"{}"):
        with pytest.raises(UserError, match="does not fit this run"):
            restore(content, model, optimizers, None)


def test_a_checkpoint_of_a_tebibyte_is_damaged_and_not_read(tmp_path, memory_below) -> None:
    with stranger_s(tmp_path, b"x").open("r+b") as file:
        file.truncate(2**40)
    said: list[str] = []
    with memory_below(LITTLE), pytest.raises(UserError, match="all checkpoints"):
        newest_checkpoint(tmp_path, said.append)
    assert "is damaged" in said[0]


def test_other_files_beside_checkpoints_are_left_alone(parts, tmp_path) -> None:
    model, optimizers = parts
    (tmp_path / "checkpoints").mkdir()
    mine = [tmp_path / "checkpoints" / name for name in ("0.safetensors", "best-model.safetensors")]
    for path in mine:
        path.write_bytes(b"a user's own")
    for step in range(1, 5):
        save_checkpoint(tmp_path, Position(step), model, optimizers, None)
    assert all(path.read_bytes() == b"a user's own" for path in mine)
    assert [path.name[:8] for path in sorted((tmp_path / "checkpoints").iterdir())][:-1] == [
        "0.safete",
        "00000003",
        "00000004",
    ]


def test_damaged_later_checkpoints_don_t_push_out_the_new_one(parts, tmp_path) -> None:
    model, optimizers = parts
    save_checkpoint(tmp_path, Position(8), model, optimizers, None)
    for step in (16, 24):
        (tmp_path / "checkpoints" / f"{step:08d}-{'0' * 16}.safetensors").write_bytes(b"damaged")
    new = save_checkpoint(tmp_path, Position(12), model, optimizers, None)
    assert newest_checkpoint(tmp_path, pytest.fail) == new.read_bytes()


@pytest.mark.parametrize("digest", ["0" * 16, "f" * 16])
def test_a_damaged_one_of_the_same_step_does_not_push_out_the_one_before(parts, tmp_path, digest) -> None:
    model, optimizers = parts
    before = save_checkpoint(tmp_path, Position(8), model, optimizers, None)
    (tmp_path / "checkpoints" / f"{16:08d}-{digest}.safetensors").write_bytes(b"damaged")
    again = save_checkpoint(tmp_path, Position(16), model, optimizers, None)
    assert sorted((tmp_path / "checkpoints").iterdir()) == [before, again]


LINE = {
    **{"epoch": 1, "epochs": 3, "step": 8, "learning_rate": 0.1, "train_loss": 2.0, "train_accuracy": 0.3},
    **{"test_loss": 1.9, "test_accuracy": 0.4, "validation_loss": None, "validation_accuracy": None},
    **{"seconds_train": 5.0, "seconds_evaluate": 1.0, "images_per_second": 100.0},
}


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ("{", "line 2 is damaged"),
        ("[" * 100_000, "line 2 is damaged"),
        ("null", "line 2 is damaged"),
        (json.dumps({**LINE, "train_loss": "low"}), r"line 2 is damaged \(train_loss"),
        (json.dumps({k: v for k, v in LINE.items() if k != "step"}), r"line 2 is damaged \(step"),
        ("\udcff", "line 2 is damaged"),
        ("", "tells of 1 epoch, but the checkpoint of 2"),
    ],
)
def test_a_journal_damaged_by_hand_is_a_line(tmp_path, second, says) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(f"{json.dumps(LINE)}\n{second}".encode("utf-8", "surrogateescape"))
    assert len(Journal(path, 1, Processes()).records) == 1  # what lies beyond is written again anyway
    with pytest.raises(UserError, match=says):
        Journal(path, 2, Processes())


@pytest.mark.parametrize("content", ["", "[]", "[" * 100_000, "3", '{"contents": 1}', "\udcff"])
def test_a_record_of_pictures_damaged_by_hand_is_a_line(tmp_path, content) -> None:
    claim(tmp_path / "run", load_recipe("fast"), {"content": "a", "folder": "b"})
    (tmp_path / "run" / "data.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"data\.json can't be read \(.*\); use another copy"):
        refuse_changed(tmp_path / "run", {"content": "a", "folder": "b"})


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("result.json", {"test_accuracy": "high"}, r"result\.json: test_accuracy can't be 'high'"),
        ("result.json", {"test_accuracy": None}, r"test_accuracy can't be None"),
        ("result.json", {"test_accuracy": 17}, r"test_accuracy can't be 17"),
        ("result.json", {"images_per_second": math.nan}, r"images_per_second can't be nan"),
        ("result.json", {"model": 3}, r"model can't be 3"),
        ("result.json", {"seconds": [1]}, r"seconds can't be"),
        ("result.json", {"parameters": True}, r"parameters can't be True"),
        ("metrics.jsonl", {"train_loss": {}}, r"metrics\.jsonl line 1: train_loss can't be"),
        ("metrics.jsonl", {"epoch": None}, r"epoch can't be None"),
        ("metrics.jsonl", {"validation_accuracy": -1}, r"validation_accuracy can't be -1"),
    ],
)
def test_results_edited_by_hand_are_a_line(finished_run, file, change, says) -> None:
    run = finished_run("a", 0.9)
    first, *rest = (run / file).read_text().splitlines()
    (run / file).write_text("\n".join([json.dumps(json.loads(first) | change), *rest]))
    with pytest.raises(UserError, match=says):
        read_files(run)


@pytest.mark.parametrize("file", ["result.json", "metrics.jsonl", "environment.json"])
@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"[]", b"9" * 5000, b"\xff"])
def test_results_that_are_no_json_are_a_line(finished_run, file, content) -> None:
    run = finished_run("a", 0.9)
    (run / file).write_bytes(content)
    with pytest.raises(UserError, match=file.replace(".", r"\.")):
        read_files(run)


def test_the_command_that_goes_on_with_a_taken_run_can_be_typed(tmp_path: Path) -> None:
    claim(tmp_path / "run 1", load_recipe("fast"))
    with pytest.raises(UserError, match=r"go on with --resume '.*/run 1'$"):
        claim(tmp_path / "run 1", load_recipe("fast"))
