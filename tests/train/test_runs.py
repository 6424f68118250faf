"""Whole runs on the embedded sample: what they leave, that they repeat, and that stopping changes nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from plusx.data import Augmentation
from plusx.data.policy import trivial
from plusx.errors import UserError
from plusx.inference import normalise
from plusx.models import load
from plusx.train import Interrupted
from plusx.train.checkpoint import KEPT, Position
from plusx.train.plan import Plan
from plusx.train.recipe import Evaluation, Training, load_recipe

TIMES = {"seconds_train", "seconds_evaluate", "images_per_second"}


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def metrics(run: Path, without: set[str] = TIMES) -> list[dict[str, object]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in without} for line in lines]


def assert_same_run(a: Path, b: Path) -> None:
    assert metrics(a) == metrics(b)
    assert weights(a).keys() == weights(b).keys()
    for name, tensor in weights(a).items():
        assert torch.equal(tensor, weights(b)[name]), name


def test_a_run_learns_and_leaves_its_files(tiny, trainer, tmp_path) -> None:
    recipe = tiny(training__epochs=8, training__small_epochs=8, training__small_size=16)
    outcome = trainer(recipe, tmp_path / "run").train()
    assert outcome.result["test_accuracy"] > 0.2  # chance is 0.1
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    contract = {
        *("recipe", "model", "parameters", "epochs", "seed", "engine", "device", "test_accuracy"),
        *("test_accuracy_tta", "train_accuracy", "seconds", "images_per_second", "peak_memory_bytes"),
        *("plusx_version", "torch_version"),
    }
    assert set(result) == contract
    assert set(result["seconds"]) == {"setup", "compile", "train", "evaluate", "total"}
    last = metrics(tmp_path / "run")[-1]
    assert (last["epoch"], last["test_accuracy"]) == (8, result["test_accuracy"])
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"recipe.toml", "metrics.jsonl", "model.safetensors", "terminal.svg", "environment.json"} <= files
    assert not any(name.endswith(".part") for name in files)
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == KEPT


def test_the_saved_model_gives_the_reported_accuracy(tiny, trainer, tmp_path) -> None:
    outcome = trainer(tiny(training__precision="float32"), tmp_path / "run").train()
    model = load(tmp_path / "run")
    mean, std = torch.tensor(model.card.mean), torch.tensor(model.card.std)
    x = (torch.from_numpy(outcome.dataset.test_images) / 255 - mean) / std
    with torch.no_grad():
        right = model(x.permute(0, 3, 1, 2)).argmax(1).numpy() == outcome.dataset.test_labels
    assert right.mean() == pytest.approx(outcome.result["test_accuracy"], abs=0.011)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"training__averaging": 0.9, "data__cutout": 8, "data__validation": 200},
        {"name": "resnet20", "training__engine": "handmade"},
    ],
)
def test_the_same_seed_gives_the_same_bits_and_another_does_not(settings, tiny, trainer, tmp_path) -> None:
    trainer(tiny(**settings), tmp_path / "a").train()
    trainer(tiny(**settings), tmp_path / "b").train()
    assert_same_run(tmp_path / "a", tmp_path / "b")
    trainer(tiny(training__seed=1, **settings), tmp_path / "c").train()
    assert metrics(tmp_path / "a") != metrics(tmp_path / "c")


@pytest.mark.parametrize("settings", [{}, {"training__averaging": 0.9, "name": "resnet20"}])
@pytest.mark.parametrize("stop_at", [3, 8, 11])
def test_stopping_at_any_step_and_resuming_changes_nothing(
    settings, stop_at, tiny, trainer, stop_in, tmp_path
) -> None:
    recipe = tiny(**settings)
    trainer(recipe, tmp_path / "whole").train()
    first = trainer(recipe, tmp_path / "parts")
    stop_in(first, stop_at)
    with pytest.raises(Interrupted) as stopped:
        first.train()
    assert stopped.value.signal == signal.SIGTERM
    trainer(recipe, tmp_path / "parts").train()
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_kill_minus_nine_and_resume_gives_the_same_bits(tmp_path) -> None:
    command = [sys.executable, "-m", "plusx", "train", "fast", "--data", "sample", "--epochs", "6"]
    for setting in (
        *("training.batch_size=100", "training.small_epochs=6", "training.small_size=8"),
        *("training.checkpoint_minutes=0.0001", "evaluation.views=none"),
    ):
        command += ["--set", setting]
    subprocess.run([*command, "--out", tmp_path / "whole", "--quiet"], check=True, timeout=200)
    killed = subprocess.Popen([*command, "--out", tmp_path / "killed", "--quiet"])
    deadline = time.monotonic() + 100
    while len(list((tmp_path / "killed" / "checkpoints").glob("*.safetensors"))) < KEPT:
        assert time.monotonic() < deadline
        assert killed.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "result.json").exists()
    resume = [sys.executable, "-m", "plusx", "train", "--quiet", "--resume", tmp_path / "killed"]
    subprocess.run(resume, check=True, timeout=200)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    again = subprocess.run(resume, capture_output=True, text=True, timeout=100)
    assert again.returncode == 2
    assert "is finished" in again.stderr


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(tiny, trainer, tmp_path, capsys) -> None:
    recipe, run = tiny(), tmp_path / "run"
    trainer(recipe, run).train()
    before = weights(run)
    older, newest = sorted((run / "checkpoints").iterdir())
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    trainer(recipe, run, "plain").train()
    assert f"{newest.name} is damaged" in capsys.readouterr().out.replace("\n", "")
    for name, tensor in weights(run).items():
        assert torch.equal(tensor, before[name])
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="all checkpoints"):
        trainer(recipe, run).train()
    assert older.parent.is_dir()


def test_a_loss_that_is_no_number_stops_the_run_with_epoch_and_step(tiny, trainer, tmp_path) -> None:
    recipe = tiny("resnet20", optimizer__learning_rate=1e30, schedule__warmup_epochs=0.0)
    with pytest.raises(UserError, match=r"epoch 1, step \d+, most likely since the rate is too high"):
        trainer(recipe, tmp_path / "run").train()


def test_the_test_set_is_looked_at_once_where_pictures_are_held_out(tiny, trainer, tmp_path) -> None:
    made = trainer(tiny(data__validation=200), tmp_path / "run")
    assert len(made.dataset.train_labels) == 600
    made.train()
    first, last = metrics(tmp_path / "run")
    assert first["validation_accuracy"] is not None
    assert first["test_accuracy"] is None
    assert last["test_accuracy"] is not None


def test_epochs_between_two_measurements_are_only_trained(tiny, trainer, tmp_path) -> None:
    every, each = (
        trainer(tiny(training__epochs=5, evaluation__every=n), tmp_path / f"every-{n}") for n in (2, 1)
    )
    assert every.train().result["test_accuracy"] == each.train().result["test_accuracy"]
    often, seldom = (metrics(tmp_path / f"every-{n}") for n in (1, 2))
    assert [row["test_accuracy"] is not None for row in seldom] == [False, True, False, True, True]
    assert [row["test_loss"] for row in seldom] == [
        row["test_loss"] if row["epoch"] in (2, 4, 5) else None for row in often
    ]


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_rates_fall_by_the_recipes_power(power, tiny, trainer, tmp_path) -> None:
    recipe = tiny("resnet20", schedule__shape="linear", schedule__power=power, schedule__warmup_epochs=0)
    made = trainer(recipe, tmp_path / "run")
    made.train()
    done = (made.plan.steps_per_epoch - 1) / made.plan.steps  # before the first epoch's last step
    (first, _), peak = metrics(tmp_path / "run"), made.recipe.optimizer.learning_rate
    assert first["learning_rate"] == pytest.approx(peak * (1 - done) ** power)


def test_augmentation_and_order_are_functions_of_seed_and_epoch_alone(tiny, trainer, tmp_path) -> None:
    seen: list[torch.Tensor] = []
    for run in ("a", "b"):
        made = trainer(tiny(), tmp_path / run)
        made.display.begin("", made.plan.steps, made.plan.steps_per_epoch, 0)
        torch.manual_seed(len(seen))  # the global state must not matter
        made._step = lambda pictures, labels, whole: (
            seen.append(pictures.clone()),
            torch.tensor([1.0, 0.0]),
        )[1]
        made._train_epoch()
    half = len(seen) // 2
    assert all(torch.equal(a, b) for a, b in zip(seen[:half], seen[half:], strict=True))


def test_the_policy_comes_before_normalising_and_the_resized_crop_after(tiny, trainer, tmp_path) -> None:
    recipe = tiny(data__policy="trivial", data__resized_crop=0.5, data__light=0.1, training__small_epochs=0)
    first = trainer(recipe, tmp_path / "run")
    given = []
    first.display.begin("", first.plan.steps, first.plan.steps_per_epoch, 0)
    first._step = lambda pictures, labels, whole: given.append(pictures) or torch.tensor([1.0, 0.0])
    first._train_epoch()
    augment = Augmentation("alternating", recipe.data.crop, light=0.1, resized_crop=0.5, policy="trivial")
    draws = augment.draw(800, 32, 32, seed=0, epoch=0)
    (batch, *_) = first.feed.epoch(seed=0, epoch=0, steps=8)
    raw = trivial(batch.pictures, draws.operations[batch.places])
    expected = augment(normalise(raw, first.minibatches.mean, first.minibatches.std), draws[batch.places])
    assert torch.equal(given[0], expected)


def test_a_recipe_written_by_a_run_repeats_it(tiny, trainer, tmp_path) -> None:
    trainer(tiny(), tmp_path / "a").train()
    trainer(load_recipe(str(tmp_path / "a" / "recipe.toml")), tmp_path / "b").train()
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_the_time_left_has_the_measurements_to_come() -> None:
    plan = Plan(Training(epochs=4, batch_size=10), pictures=100, size=32)
    evaluation = Evaluation(views="shift", every=2)
    first = Position(step=5, epoch_seconds=10.0)
    assert plan.seconds_left(first, evaluation) == pytest.approx(2 * 35)
    third = Position(step=25, epoch_seconds=10.0, evaluate_seconds=3.0)
    assert plan.seconds_left(third, evaluation) == pytest.approx(2 * 15 + 3 * (1 + 6))
    assert plan.seconds_left(third, Evaluation(views="none")) == pytest.approx(2 * 15 + 1.5 * 2)


def test_a_batch_larger_than_the_data_is_a_user_error(tiny, trainer, tmp_path) -> None:
    with pytest.raises(UserError, match="larger than the 800"):
        trainer(tiny(training__batch_size=801), tmp_path / "run")
