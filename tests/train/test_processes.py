"""Several processes that train together do what one does, and none of them is left waiting."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import plusx
from plusx.data import load
from plusx.train import Display, Trainer, load_recipe
from plusx.train.processes import Processes

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]  # on a free port
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
STEP = str(Path(__file__).with_name("step_together.py"))

# A rate so small that rounding is not amplified: the test is of the sums, not of chaos.
SETTINGS = {
    "data.source": "sample",
    "training.epochs": 2,
    "training.batch_size": 101,
    "training.precision": "float32",
    "training.shared_norm": True,
    "training.small_epochs": 2,
    "training.small_size": 8,
    "optimizer.learning_rate": 0.001,
    "evaluation.views": "none",
    "training.checkpoint_minutes": 0.0001,
}


def train(out: Path, processes: int, *options: str) -> subprocess.Popen[str]:
    settings = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    command = [*TORCHRUN, f"--nproc-per-node={processes}", *options]
    command += ["-m", "plusx", "train", "resnet20", *settings, "--out", str(out)]
    return subprocess.Popen(
        command, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(out: Path, processes: int) -> Path:
    running = train(out, processes)
    said, complained = running.communicate(timeout=300)
    assert running.returncode == 0, complained
    assert said.count("everything is in") == 1  # one process speaks
    return out


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("one")
    recipe = load_recipe("resnet20", SETTINGS)
    Trainer(recipe, run, load("sample"), Display(recipe, Console(), "quiet")).train()
    return run


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    return finish(tmp_path_factory.mktemp("two") / "run", 2)


def step(path: Path, processes: int) -> dict[str, torch.Tensor]:
    command = [*TORCHRUN, f"--nproc-per-node={processes}", STEP, str(path)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return load_file(path)


def test_cuda_without_a_number_is_the_current_gpu() -> None:
    # torch refuses to be told so; every run with `--device cuda` ended there once.
    assert Processes().place(torch.device("cuda")) == torch.device("cuda")


def test_a_step_of_two_and_of_three_processes_is_that_of_one(tmp_path: Path) -> None:
    whole = step(tmp_path / "1.safetensors", 1)
    for processes in (2, 3):
        parts = step(tmp_path / f"{processes}.safetensors", processes)
        means = parts.pop("mean of the leader")
        assert all(torch.equal(mean, means[0]) for mean in means), "every process has the leader's buffers"
        assert parts.pop("total").tolist() == [processes, 101]
        for name, tensor in parts.items():
            # The sums are taken in another order: in double precision that is all there is.
            torch.testing.assert_close(tensor, whole[name], rtol=1e-9, atol=1e-11, msg=name)


def test_a_run_of_two_processes_is_that_of_one_but_for_rounding(one: Path, two: Path) -> None:
    lines = [(run / "metrics.jsonl").read_text().splitlines() for run in (one, two)]
    assert len(lines[0]) == len(lines[1]) == 2
    for mine, theirs in zip(*lines, strict=True):
        a, b = json.loads(mine), json.loads(theirs)
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-4)
        assert a["test_loss"] == pytest.approx(b["test_loss"], rel=1e-3)
        assert a["train_accuracy"] == pytest.approx(b["train_accuracy"], abs=0.005)
    torch.manual_seed(0)
    begun = plusx.create_model("resnet20", num_classes=10).state_dict()
    alone, together = (load_file(run / "model.safetensors") for run in (one, two))
    moved, apart = (
        torch.cat([(alone[k] - other[k]).flatten() for k, v in alone.items() if v.is_floating_point()]).norm()
        for other in (begun, together)
    )
    assert 0 < apart < 0.02 * moved
    assert json.loads((two / "environment.json").read_text())["processes"] == 2
    assert (two / "report.html").exists()


def workers(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if b"plusx" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def signal_one(number: int, running: subprocess.Popen[str], out: Path) -> None:
    """Send the second process a signal as soon as there is a checkpoint."""
    deadline = time.monotonic() + 200
    while not list((out / "checkpoints").glob("*.safetensors")):
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()[1]
        time.sleep(0.02)
    os.kill(workers(running.pid)[1], number)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")
def test_a_killed_process_ends_the_run_and_a_restart_goes_on_exactly(two: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    running = train(out, 2)
    signal_one(signal.SIGKILL, running, out)
    _, complained = running.communicate(timeout=120)  # it does not hang
    assert running.returncode != 0
    assert "lost another one of the 2 that train together" in complained
    assert not (out / "result.json").exists()

    again = train(out.with_name("again"), 2, "--max-restarts=1")
    signal_one(signal.SIGKILL, again, out.with_name("again"))
    _, complained = again.communicate(timeout=300)
    assert again.returncode == 0, complained
    expected, found = (load_file(r / "model.safetensors") for r in (two, out.with_name("again")))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")
def test_all_stop_after_the_same_step_whichever_is_asked(two: Path, tmp_path: Path) -> None:
    running = train(tmp_path / "run", 2)
    signal_one(signal.SIGTERM, running, tmp_path / "run")
    _, complained = running.communicate(timeout=120)
    assert complained.count("stopped; go on with: plusx train --resume") == 1
    assert "lost another one" not in complained
    recipe = load_recipe(str(tmp_path / "run" / "recipe.toml"))
    Trainer(recipe, tmp_path / "run", load("sample"), Display(recipe, Console(), "quiet")).train()
    expected, found = (json.loads((r / "result.json").read_text()) for r in (two, tmp_path / "run"))
    assert found["test_accuracy"] == pytest.approx(expected["test_accuracy"], abs=0.02)


def test_a_run_goes_on_with_another_number_of_processes(two: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    shutil.copytree(two, run)
    for left in (run / "result.json", run / "report.html", sorted((run / "checkpoints").iterdir())[-1]):
        left.unlink()
    recipe = load_recipe(str(run / "recipe.toml"))
    Trainer(recipe, run, load("sample"), Display(recipe, Console(width=200), "plain")).train()
    assert "begun with 2 processes, going on with 1" in capsys.readouterr().out
    expected, found = (json.loads((r / "result.json").read_text()) for r in (two, run))
    assert found["test_accuracy"] == pytest.approx(expected["test_accuracy"], abs=0.02)


def test_several_processes_want_to_know_where(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "plusx", "train", "--data", "sample"]
    environment = ENVIRONMENT | {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert "say where the run is to be, --out DIR" in done.stderr
