"""Every experiment runs on the sample, says what it promises, and can be run again from its files."""

import json
from pathlib import Path

import pytest

from plusx.lab import EXPERIMENTS, Workbench
from plusx.lab.experiment import VERDICTS
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
    assert written["verdict"] in VERDICTS
    assert (folder / "figure.png").stat().st_size > 5_000
    assert Path(written["code"]).name == f"{name.replace('-', '_')}.py"
    assert experiment.judge(written["numbers"])._asdict()["verdict"] == written["verdict"]
    for table in experiment.tables(written["numbers"]):
        assert table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)
    for text in (experiment.CLAIM, experiment.QUESTION, experiment.RULE):
        assert not chinese(text.en)
        assert chinese(text.zh)
