"""The command line as a user meets it: in a process of its own."""

import errno
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import plusx as plusx_package
from plusx import cli
from plusx.models import model_names
from tests.conftest import plusx

QUICK = [
    *("--data", "sample", "--epochs", "1"),
    *("--set", "training.small_epochs=1", "--set", "training.small_size=8"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    done = plusx("train", *QUICK, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout
    return folder / "runs" / "fast-seed0"


def test_train_leaves_the_whole_run_directory(run: Path) -> None:
    expected = {
        *("recipe.toml", "metrics.jsonl", "result.json", "model.safetensors", "checkpoints", "curves.png"),
        *("confusion.png", "mistakes.png", "terminal.svg", "report.html", "environment.json"),
    }
    assert expected <= {path.name for path in run.iterdir()}


def test_a_taken_directory_is_refused_and_the_default_one_moves_on(run: Path) -> None:
    before = (run / "result.json").read_bytes()
    refused = plusx("train", *QUICK, "--out", run)
    assert refused.returncode == 2
    assert "already holds a run" in refused.stderr
    assert (run / "result.json").read_bytes() == before
    assert plusx("train", *QUICK, "--quiet", cwd=run.parent.parent).stdout == ""
    assert (run.parent / "fast-seed0-2" / "report.html").exists()


def test_evaluate_gives_the_runs_own_accuracy(run: Path) -> None:
    answer = json.loads(plusx("evaluate", run, "--data", "sample", "--json").stdout)
    result = json.loads((run / "result.json").read_text())
    assert answer["test_accuracy"] == result["test_accuracy"]
    assert len(answer["by_class"]) == 10
    table = plusx("evaluate", run / "model.safetensors", "--data", "sample").stdout
    assert f"{100 * result['test_accuracy']:.2f} %" in table


def test_predict_names_any_picture(run: Path, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "blue").save(tmp_path / "wide.jpg")
    Image.new("L", (5, 9), 100).save(tmp_path / "灰.png")
    Image.new("RGBA", (40, 40), (255, 0, 0, 30)).save(tmp_path / "glass.webp")
    Image.new("CMYK", (40, 40)).save(tmp_path / "ink.tiff")
    files = sorted(tmp_path.iterdir())
    answers = json.loads(plusx("predict", run, *files, "--json").stdout)
    assert [a["picture"] for a in answers] == list(map(str, files))
    for answer in answers:
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert answer["class"] == max(answer["probabilities"], key=answer["probabilities"].get)
    assert answers[0]["class"] in plusx("predict", run, files[0]).stdout


def test_predict_needs_no_run(tmp_path: Path) -> None:
    dataset = plusx_package.data.load("sample")
    ship = dataset.test_images[np.flatnonzero(dataset.test_labels == 8)[0]]
    Image.fromarray(ship).resize((320, 320)).save(tmp_path / "ship.png")
    (answer,) = json.loads(plusx("predict", tmp_path / "ship.png", "--json").stdout)
    assert answer["class"] == "ship"
    assert not answer["doubtful"]
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(
        tmp_path / "noise.png"
    )
    assert "none of the classes" in plusx("predict", "cifar10", tmp_path / "noise.png").stdout


def test_models_lists_every_network_with_its_plain_twin() -> None:
    listed = json.loads(plusx("models", "--json").stdout)
    assert {m["name"] for m in listed} == {name for name in model_names() if "plain" not in name}
    table = plusx("models").stdout
    assert all(name in table for name in model_names())


def test_help_names_every_command() -> None:
    rows = [line.strip("│ ").split(" ")[0] for line in plusx("--help").stdout.splitlines()]
    commands, groups = cli.app.registered_commands, cli.app.registered_groups
    names = [c.name or c.callback.__name__ for c in commands] + [group.name for group in groups]
    assert len(names) == 11
    assert set(names) <= set(rows)
    assert "--resume" in plusx("train", "--help").stdout


def test_a_command_begins_without_what_only_others_draw_with() -> None:
    code = "import sys, plusx.cli; print([m for m in ('matplotlib', 'jinja2', 'onnx') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "nosuch"], "there is no recipe 'nosuch'; choose one of"),
        (["train", "--set", "training.epoch=1"], "did you mean training.epochs?"),
        (["train", "--set", "training.epochs=none"], "training.epochs"),
        (["train", "--set", "training.epochs"], "KEY=VALUE"),
        (["train", "--data", "/no/such/folder"], "/no/such/folder"),
        (["train", "--data", "sample", "--device", "tpu"], "choose one of: auto, cpu, cuda, mps"),
        (["train", "--data", "sample", "--out", "/proc/nowhere/run"], "can't write"),
        (["train", "--epochs", "ten"], "--epochs"),
        (
            ["train", "--data", "sample", "--set", "data.validation=900"],
            "leaves 0 of 800 pictures",
        ),
        (["evaluate", "cifar10", "--page", "notes.txt"], "--page ends in .html, unlike notes.txt"),
        (["evaluate", "cifar10", "--page", "no/such/page.html"], "there is no folder no/such; make it"),
        (["data", "inspect", ".", "--page", "."], "--page ends in .html, unlike ."),
        (["train", "--resume", "/no/run"], "holds no run"),
        (["train", "--resume", "/no/run", "--epochs", "20"], "give no recipe, --out or settings"),
        (["train", "--speed"], "--speed"),
        (["evaluate", "/no/run"], "there is no weights file"),
        (["predict", "RUN", "/no/cat.jpg"], "there is no picture /no/cat.jpg"),
        (["predict", "RUN", "RUN"], "is a directory"),
        (["predict", "RUN"], "give at least one picture after"),
        (["predict", "."], "if it holds pictures, give those: ./*.jpg"),
        (["explain", "."], "if it holds pictures, give those: ./*.jpg"),
        (["predict", "RUN", "RUN/result.json"], "can't be read as a picture"),
        (["evaluate", "RUN/result.json"], "not a whole safetensors file"),
        (["nosuch"], "nosuch"),
        (["app", "--lang", "fr"], "Invalid value for '--lang': 'fr' is not one of 'en', 'zh'"),
    ],
)
def test_a_users_error_is_one_line_and_exit_code_2(
    arguments: list[str], says: str, run: Path, tmp_path: Path
) -> None:
    done = plusx(*(a.replace("RUN", str(run)) for a in arguments), cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.startswith("plusx: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir()), "nothing may be left behind"


@pytest.mark.parametrize("group", [(), ("data",)])
def test_a_bare_command_prints_its_help_alone(group: tuple[str, ...]) -> None:
    done = plusx(*group)
    assert done.returncode == 2
    assert "Usage: " in done.stdout
    assert done.stderr == ""


def test_ctrl_c_leaves_a_checkpoint_and_the_line_that_resumes(tmp_path: Path) -> None:
    settings = [*QUICK, "--epochs", "200", "--set", "training.small_epochs=200"]
    command = [sys.executable, "-m", "plusx", "train", *settings, "--out", "run", "--quiet"]
    training = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while not (tmp_path / "run" / "metrics.jsonl").exists():
        assert time.monotonic() < deadline
        assert training.poll() is None
        time.sleep(0.05)
    training.send_signal(signal.SIGINT)
    _, said = training.communicate(timeout=100)
    assert training.returncode == 130
    assert said == "stopped; go on with: plusx train --resume run\n"
    assert list((tmp_path / "run" / "checkpoints").glob("*.safetensors"))
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_new_run_says_which_one_is_unfinished(tmp_path: Path) -> None:
    (tmp_path / "runs" / "fast-seed0").mkdir(parents=True)
    (tmp_path / "runs" / "fast-seed0" / "recipe.toml").touch()
    begun = plusx("train", *QUICK, "--set", "training.device=tpu", cwd=tmp_path)
    assert begun.returncode == 2
    note, *_ = begun.stdout.splitlines()
    assert note.startswith("note: runs/fast-seed0 is unfinished")
    assert note.endswith(": plusx train --resume runs/fast-seed0")


def test_debug_shows_the_traceback() -> None:
    done = plusx("--debug", "evaluate", "/no/run")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("printer", ["print", "__import__('rich').print"])
def test_a_reader_that_has_enough_ends_the_command_quietly(printer: str) -> None:
    program = f"from plusx import cli; cli.app = lambda **_: {printer}('x' * 10**4); cli.main()"
    command = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert command.stdout is not None
    command.stdout.close()
    _, said = command.communicate(timeout=100)
    assert (command.returncode, said) == (141, b"")


def _no_memory() -> Exception:
    """What torch itself raises."""
    try:
        torch.empty(2**50)
    except Exception as error:
        return error
    raise AssertionError("a petabyte of memory")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left", "runs/a"), "plusx: runs/a: No space left\n"),
        (OSError(errno.EROFS, "Read-only file system"), "plusx: writing: Read-only file system\n"),
        (MemoryError(), "plusx: memory ran out; "),
        (_no_memory(), "plusx: memory ran out; "),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "plusx: memory ran out; "),
    ],
)
def test_what_goes_wrong_outside_is_one_line_and_exit_code_2(monkeypatch, capsys, error, says) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(says)
