"""The time to an accuracy, from the files of made-up runs."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from plusx.bench import time_to
from plusx.bench.show_training import time_to_table
from plusx.errors import UserError


@pytest.fixture
def run(finished_run: Callable[..., Path]) -> Callable[..., Path]:
    """A run that has these test accuracies after its epochs, of 10 s and 1 s evaluation each."""

    def write(name: str, accuracies: list[float | None], with_views: float | None = None) -> Path:
        folder = finished_run(name, 0.5)
        lines = (folder / "metrics.jsonl").read_text().splitlines()[: len(accuracies)]
        rows = [
            json.loads(line) | {"test_accuracy": accuracy, "seconds_train": 10.0, "seconds_evaluate": 1.0}
            for line, accuracy in zip(lines, accuracies, strict=True)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        result = json.loads((folder / "result.json").read_text()) | {"test_accuracy_tta": with_views}
        result["seconds"]["evaluate"] = len(accuracies) + 5.0
        (folder / "result.json").write_text(json.dumps(result))
        return folder

    return write


def test_the_first_epoch_that_is_as_accurate_counts(run) -> None:
    result = time_to([run("one", [0.85, 0.90, 0.89, 0.93, 0.945], with_views=0.95)])
    assert result["recipe"] == "fast"
    assert result["processors"] == ["abacus"]
    ninety, ninety_four = result["rows"]
    assert (ninety["accuracy"], ninety["seconds_train"], ninety["seconds_with_evaluation"]) == (0.9, 20, 22)
    assert (ninety_four["seconds_train"], ninety_four["seconds_with_evaluation"]) == (50, 55)
    assert ninety_four["runs"][0]["epoch"] == 5
    assert ninety_four["with_views"] == 0


def test_else_the_views_at_the_end_count_with_their_evaluation(run) -> None:
    row = time_to([run("one", [None, None, 0.93], with_views=0.94)])["rows"][1]
    assert (row["reached"], row["with_views"]) == (1, 1)
    assert (row["seconds_train"], row["seconds_with_evaluation"]) == (30, 38)


def test_a_run_that_never_got_there_counts_as_the_longest(run) -> None:
    run("a", [0.95])
    run("b", [0.80, 0.95])
    never = run("c", [0.80, 0.89], with_views=0.899)
    of_three = time_to([never.parent])
    assert [row["seconds_train"] for row in of_three["rows"]] == [20, 20]
    assert [found["seconds_train"] for found in of_three["rows"][0]["runs"]] == [10, 20, None]
    row = time_to([never])["rows"][0]
    assert (row["reached"], row["seconds_train"], row["seconds_with_evaluation"]) == (0, None, None)
    shown = io.StringIO()
    Console(file=shown, width=120).print(time_to_table(time_to([never])))
    assert "1 run of fast, abacus" in shown.getvalue()
    assert ["90", "%", "0", "of", "1", "0", *["not", "reached"] * 2] in [
        line.split() for line in shown.getvalue().splitlines()
    ]


def test_what_is_no_finished_run_is_refused(run, tmp_path: Path) -> None:
    folder = run("one", [0.9])
    (folder / "metrics.jsonl").unlink()
    with pytest.raises(UserError, match=r"one/metrics\.jsonl can't be read \(No such file or directory\)"):
        time_to([folder])
    with pytest.raises(UserError, match=r"nowhere/recipe\.toml can't be read"):
        time_to([tmp_path / "nowhere"])


def test_runs_that_differ_in_more_than_the_seed_have_no_median(finished_run: Callable[..., Path]) -> None:
    runs = [
        finished_run(name, 0.9, **settings)
        for name, settings in (
            ("one", {"training__seed": 1}),
            ("two", {"training__seed": 2}),
            ("three", {"optimizer__learning_rate": 0.1, "data__crop": 1}),
        )
    ]
    assert time_to(runs[:2])["rows"][0]["reached"] == 2
    with pytest.raises(
        UserError, match=r"one and .*three differ in data\.crop, optimizer\.learning_rate and have no median"
    ):
        time_to(runs)
