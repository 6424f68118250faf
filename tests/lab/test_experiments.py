"""Every experiment runs on the sample, says what it promises, and can be run again from its files."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plusx.lab import EXPERIMENTS, Workbench
from plusx.lab.experiment import VERDICT_WORDS
from plusx.lab.networks import convolutional, fully_connected
from plusx.lab.runner import run_experiment


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Workbench:
    return Workbench(tmp_path_factory.mktemp("lab"), quick=True)


def chinese(text: str) -> bool:
    return any("一" <= letter <= "鿿" for letter in text)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_runs_quickly_and_writes_its_files(name: str, bench: Workbench) -> None:
    experiment = EXPERIMENTS[name]
    result = run_experiment(name, experiment, bench)
    folder = bench.folder / name
    written = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert written == result
    assert written["verdict"] in VERDICT_WORDS
    assert (folder / "figure.png").stat().st_size > 5_000
    assert Path(written["code"]).name == f"{name.replace('-', '_')}.py"
    assert experiment.judge(written["numbers"])._asdict()["verdict"] == written["verdict"]
    for table in experiment.tables(written["numbers"]):
        assert table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)
    for text in (experiment.CLAIM, experiment.QUESTION, experiment.RULE):
        assert not chinese(text.en)
        assert chinese(text.zh)


def test_a_result_says_when_and_where_its_kept_trainings_were_made(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, quick=True)
    run_experiment("stride", EXPERIMENTS["stride"], bench)
    kept = sorted((tmp_path / "trainings").iterdir())
    facts = json.loads((kept[0] / "environment.json").read_text(encoding="utf-8"))
    older = facts | {"date": "2001-02-03 04:05:06 +0000", "processor": "another"}
    (kept[0] / "environment.json").write_text(json.dumps(older), encoding="utf-8")
    trainings = run_experiment("stride", EXPERIMENTS["stride"], bench)["trainings"]
    assert sorted(trainings) == [run.name for run in kept]
    assert trainings[kept[0].name] == {key: older[key] for key in ("date", "torch", "processor", "threads")}
    assert run_experiment("variants", EXPERIMENTS["variants"], bench)["trainings"] == {}


def test_a_training_is_kept_and_told_apart_by_all_that_it_depends_on(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, quick=True)

    def runs() -> set[str]:
        return {folder.name for folder in (tmp_path / "trainings").iterdir()}

    first = bench.train("small", convolutional)
    kept = runs()
    again = bench.train("small", convolutional)
    assert runs() == kept
    assert again.result == first.result
    images, labels = bench.dataset.test_images, bench.dataset.test_labels
    assert again.accuracy(images, labels) == pytest.approx(first.result["test_accuracy"], abs=0.02)
    bench.train("small", convolutional, seed=1)
    bench.train("small", convolutional, data__crop=1)
    bench.train("small", lambda: fully_connected(16))
    assert len(runs()) == 4


def test_a_stopped_experiment_goes_on_by_the_same_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "plusx", "lab", "run", "stride", "--quick", "--out", "lab"]
    working = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    while not list(tmp_path.glob("lab/trainings/*/metrics.jsonl")):
        assert working.poll() is None
        time.sleep(0.02)
    working.send_signal(signal.SIGINT)
    _, said = working.communicate(timeout=100)
    assert working.returncode == 130
    assert said == "stopped; go on with: plusx lab run stride --quick --out lab\n"
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0
    assert (tmp_path / "lab" / "stride" / "result.json").exists()
