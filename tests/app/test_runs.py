"""Trainings: processes of their own, found again by a later server; what a page can't make them do."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from markupsafe import escape
from PIL import Image
from starlette.datastructures import QueryParams

from plusx.app.forms import FieldError
from plusx.app.networks import Networks
from plusx.app.numbers import percent
from plusx.app.page import House
from plusx.app.pages import training
from plusx.app.pictures import Shelf
from plusx.app.render import whole as whole_page
from plusx.app.runs import Runs
from plusx.app.texts import Texts
from tests.app.conftest import Served

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs" / "results" / "fast" / "seed0"
EN = Texts("training", "en")


def house(runs: Path, data: Path | None = None) -> House:
    return House(Networks(runs), Runs(runs), Shelf(), data)


def published(runs: Path, name: str = "fast-seed0") -> Path:
    shutil.copytree(PUBLISHED, runs / name)
    return runs / name


def until(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.1)


class Launched:
    """Takes the place of a process: notes the command."""

    def __init__(self, command: list[str]) -> None:
        self.command, self.pid = command, 2**22 + 1
        Launched.last = self

    last: "Launched"

    def poll(self) -> int | None:
        return None


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings are noted, not begun; other processes are what they are."""
    real = subprocess.Popen

    def begin(command: list[str], **options: Any) -> Any:
        return Launched(command) if "plusx" in command else real(command, **options)

    monkeypatch.setattr(subprocess, "Popen", begin)


def test_a_training_gets_the_command_of_plusx_train(tmp_path: Path, no_training: None) -> None:
    own = tmp_path / "my; pets"
    own.mkdir()
    there = house(tmp_path / "runs", own)
    sent = QueryParams("recipe=resnet20&source=own&epochs=7&seed=3")
    assert training.act("start", sent, there, EN) == {"run": "resnet20-seed3"}
    assert Launched.last.command == [
        *(sys.executable, "-m", "plusx", "train", "resnet20"),
        *("--out", str(tmp_path / "runs" / "resnet20-seed3")),
        *("--data", str(own), "--epochs", "7", "--seed", "3"),
    ]
    assert there.runs.names() == ["resnet20-seed3"]  # before it has written anything
    assert training.act("start", sent, there, EN)["faults"]["start"].startswith("A training started here")


def test_a_taken_name_gets_a_number(tmp_path: Path, no_training: None) -> None:
    published(tmp_path)
    published(tmp_path, "fast-seed0-2")
    assert Runs(tmp_path).start("fast", "sample", 1, 0) == "fast-seed0-3"


@pytest.mark.parametrize(
    ("action", "sent", "field"),
    [
        ("start", "recipe=../../evil.toml", "recipe"),
        ("start", "recipe=fast&source=/etc", "source"),
        ("start", "recipe=fast&source=own", "source"),  # no folder was named
        ("start", "recipe=fast&source=sample&epochs=1000000", "epochs"),
        ("start", "recipe=fast&source=sample&seed=--data", "seed"),
        ("stop", "which=../elsewhere", "which"),
        ("stop", "which=fast-seed0", "start"),  # finished
        ("resume", "which=fast-seed0", "start"),
        ("resume", "", "start"),
    ],
)
def test_what_a_page_can_t_ask(tmp_path: Path, action: str, sent: str, field: str) -> None:
    (published(tmp_path) / "report.html").write_text("<p>report</p>")
    answer = training.act(action, QueryParams(sent), house(tmp_path), EN)
    assert list(answer["faults"]) == [field]


def test_a_training_that_fails_at_once_says_why_and_leaves_its_name(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    (pictures / "cat").mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(pictures / "cat" / "0.png")
    there = house(tmp_path / "runs", pictures)
    sent = QueryParams("recipe=fast&source=own&epochs=1")
    assert training.act("start", sent, there, EN) == {"run": "fast-seed0"}
    there.runs._processes["fast-seed0"].wait(120)
    failed = there.runs.get("fast-seed0")
    assert failed.status == "failed"
    assert failed.said.startswith("plusx: ")
    page = whole_page(training.PAGE, QueryParams(), there, "en")
    assert escape(failed.said) in page
    assert 'data-post="resume"' not in page
    assert "faults" in training.act("resume", QueryParams("which=fast-seed0"), there, EN)
    assert training.act("start", sent, there, EN) == {"run": "fast-seed0"}
    there.runs._processes["fast-seed0"].wait(120)


def test_a_run_stands_as_its_files_say(tmp_path: Path) -> None:
    run = published(tmp_path)
    assert Runs(tmp_path).get("fast-seed0").status == "stopped"  # its report is missing
    (run / "report.html").write_text("<p>report</p>")
    found = Runs(tmp_path).get("fast-seed0")
    assert (found.status, len(found.epochs)) == ("finished", 10)
    assert found.result == json.loads((PUBLISHED / "result.json").read_text())
    with FileLock(run / ".lock"):
        assert Runs(tmp_path).get("fast-seed0").status == "running"
    (run / "metrics.jsonl").write_bytes(b'{"epoch": 1}\n{"epo')
    (run / "result.json").write_bytes(b"[1, 2")
    damaged = Runs(tmp_path).get("fast-seed0")
    assert (damaged.epochs, damaged.result, damaged.status) == ((), None, "stopped")


@pytest.mark.parametrize("key", ["test_accuracy", "model", "parameters", "seconds", "images_per_second"])
@pytest.mark.parametrize("value", ["absent", {}, [1]])
def test_a_run_of_another_version_does_not_take_the_page_away(tmp_path: Path, key: str, value: Any) -> None:
    run = published(tmp_path)
    result = json.loads((run / "result.json").read_text())
    accuracy = percent(result["test_accuracy"])
    del result[key]
    (run / "result.json").write_text(json.dumps(result if value == "absent" else result | {key: value}))
    line = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    whole = json.dumps(line)
    without = json.dumps({name: value for name, value in line.items() if name != "epochs"})
    (run / "metrics.jsonl").write_text(f"{whole}\n{without}\n{json.dumps(line | {'test_loss': 'x'})}\n[]\n")
    published(tmp_path, "sound")
    found = Runs(tmp_path).get("fast-seed0")
    assert (found.result, found.epochs, found.status) == (None, (line,), "stopped")
    for chosen in ("fast-seed0", "sound"):
        page = whole_page(training.PAGE, QueryParams(f"run={chosen}"), house(tmp_path), "en")
        assert "fast-seed0" in page
        assert accuracy in page


def test_another_process_of_a_remembered_number_is_left_alone(tmp_path: Path) -> None:
    published(tmp_path)
    (tmp_path / ".app").mkdir()
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / ".app" / "fast-seed0.pid").write_text(str(bystander.pid))
        with pytest.raises(FieldError, match="not_ours"):
            Runs(tmp_path).stop("fast-seed0")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_curves_are_the_lines_of_the_journal(tmp_path: Path) -> None:
    published(tmp_path)
    found = house(tmp_path).runs.get("fast-seed0")
    lines = [json.loads(line) for line in (PUBLISHED / "metrics.jsonl").read_text().splitlines()]
    train, test = training._curves([found], "accuracy", 100.0, EN)
    assert [y for _, y in train.points[:10]] == [100 * line["train_accuracy"] for line in lines]
    assert [y for _, y in test.points[:10]] == [100 * line["test_accuracy"] for line in lines]


def test_a_report_runs_nothing_and_only_runs_have_one(tmp_path: Path, start: Callable[..., Served]) -> None:
    (published(tmp_path) / "report.html").write_text("<p>report</p>")
    (tmp_path / "report.html").write_text("secret")
    served = start(runs=tmp_path)
    reply = served.ask("/runs/fast-seed0/report.html")
    assert (reply.status, reply.body) == (200, b"<p>report</p>")
    assert "sandbox" in reply.headers["content-security-policy"]
    for path in (
        "/runs/../report.html",
        "/runs/%2e/report.html",
        "/runs/.app/report.html",
        "/runs//report.html",
    ):
        assert served.ask(path).status == 404
    assert served.post("/en/training/delete").status == 404


def test_a_training_goes_on_without_the_server_and_a_later_one_stops_and_resumes_it(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    there = house(tmp_path)
    sent = QueryParams("recipe=fast&source=sample&epochs=50&seed=0")
    name = training.act("start", sent, there, EN)["run"]
    process = there.runs._processes[name]
    assert os.getsid(process.pid) == process.pid  # its own session: a Ctrl-C of the server's is not for it
    until(lambda: there.runs.get(name).progress)
    steps, total = there.runs.get(name).progress or (0, 0)
    assert 0 < steps < total == 50 * 13
    later = house(tmp_path)  # as after a restart
    assert later.runs.get(name).status == "running"
    assert later.runs.running() == name
    assert training.act("stop", QueryParams(f"which={name}"), later, EN) == {"run": name}
    until(lambda: process.poll() is not None)
    stopped = later.runs.get(name)
    assert stopped.status == "stopped"
    assert stopped.said.startswith("stopped; go on with: plusx train --resume")
    assert list((tmp_path / name / "checkpoints").glob("*.safetensors"))
    request.getfixturevalue("no_training")
    assert training.act("resume", QueryParams(f"which={name}"), later, EN) == {"run": name}
    assert Launched.last.command[-2:] == ["--resume", str(tmp_path / name)]
