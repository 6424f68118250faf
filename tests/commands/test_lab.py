"""`plusx lab` prints what it is given as it is, and trains one network once, whoever asks for it."""

import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from plusx.cli import app
from plusx.lab import EXPERIMENTS, Workbench
from plusx.lab.networks import convolutional
from plusx.text import LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_list_shows_every_claim_with_its_formula(language: str) -> None:
    done = CliRunner().invoke(app, ["lab", "list", "--language", language], env={"COLUMNS": "400"})
    assert done.exit_code == 0
    for name, experiment in EXPERIMENTS.items():
        assert f"{name} " in done.stdout
        assert experiment.CLAIM.within(language) in done.stdout


def test_a_folder_may_be_called_as_anybody_likes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["lab", "run", "output-size", "--quick", "--out", "[/bold] [old]"])
    assert done.exit_code == 0, done.output
    assert "[/bold] [old]/output-size/figure.png" in done.stdout
    assert (tmp_path / "[/bold] [old]" / "output-size" / "figure.png").exists()


def test_two_who_ask_at_once_train_once(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            Workbench(tmp_path, quick=True).train("one", convolutional)
        except BaseException as error:
            errors.append(error)

    both = [threading.Thread(target=ask) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert not errors
    (run,) = (tmp_path / "trainings").iterdir()
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2
