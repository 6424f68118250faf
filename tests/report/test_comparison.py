"""Runs side by side, from figures that are known."""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest

from plusx.errors import UserError
from plusx.report.comparison import compare, to_json
from plusx.report.comparison_page import render_comparison
from plusx.report.finished import read_runs, same_pictures
from plusx.report.intervals import paired_interval, unpaired_interval, welch_interval

MakeRun = Callable[..., Path]
NO_WEIGHTS = "no weights"


def without_weights(runs: list[Path]) -> dict[str, Any]:
    found = read_runs(runs)
    return json.loads(json.dumps(to_json(compare(found, {}, {run.name: NO_WEIGHTS for run in found}))))


def test_settings_that_differ_are_told_and_the_same_ones_are_not(finished_run: MakeRun) -> None:
    runs = [
        finished_run("a", 0.92),
        finished_run("b", 0.93, training__seed=1),
        finished_run("c", 0.91, training__epochs=5, data__cutout=8),
    ]
    found = without_weights(runs)
    assert found["settings"] == {"data.cutout": {"A": 0, "B": 8}, "training.epochs": {"A": 10, "B": 5}}
    assert [run["label"] for run in found["runs"]] == ["A1", "A2", "B"]
    assert found["machines"] == {}


def test_another_processor_is_told(finished_run: MakeRun) -> None:
    runs = [finished_run("a", 0.92), finished_run("b", 0.93)]
    (runs[1] / "environment.json").write_text(json.dumps({"processor": "slide rule", "threads": 2}))
    assert without_weights(runs)["machines"] == {
        "processor": [{"value": "abacus", "runs": ["A1"]}, {"value": "slide rule", "runs": ["A2"]}]
    }


def test_differences_are_unpaired_from_the_counts(finished_run: MakeRun) -> None:
    (difference,) = without_weights([finished_run("a", 0.92), finished_run("b", 0.94)])["differences"]
    assert difference["method"] == "unpaired"
    assert difference["reason"] == "A2: no weights"
    assert difference["difference"] == pytest.approx(0.02)
    assert difference["interval"] == pytest.approx(unpaired_interval((184, 200), (188, 200)))
    assert (difference["gained"], difference["lost"]) == (None, None)


def test_differences_are_paired_where_the_answers_are_known(finished_run: MakeRun) -> None:
    runs = read_runs([finished_run("a", 0.92), finished_run("b", 0.94), finished_run("c", 0.9)])
    first, second = np.arange(200) < 184, np.arange(200) >= 10  # 10 lost, 16 gained
    of = compare(runs, {runs[0].name: first, runs[1].name: second}, {runs[2].name: NO_WEIGHTS})
    paired, unpaired = of.differences
    assert (paired.gained, paired.lost, paired.difference) == (16, 10, pytest.approx(0.03))
    assert paired.interval == paired_interval(16, 10, 200)
    assert unpaired.reason == "A3: no weights"
    # 190 right here, 188 in result.json.
    (remark,) = of.remarks
    assert "names 190 pictures right here, 188 when" in remark


def test_seeds_are_summarised_and_groups_compared(finished_run: MakeRun) -> None:
    first, second = [0.90, 0.92, 0.91], [0.93, 0.95]
    runs = [finished_run(f"a{seed}", share, training__seed=seed) for seed, share in enumerate(first)]
    runs += [
        finished_run(f"b{seed}", share, training__seed=seed, training__epochs=20)
        for seed, share in enumerate(second)
    ]
    runs += [finished_run("c", 0.5, training__epochs=3)]
    runs += [finished_run("again", 0.1)]  # seed 0 once more: it must not count twice
    found = without_weights(runs)
    a, b, c = found["groups"]
    assert (a["mean"], a["deviation"]) == pytest.approx((mean(first), stdev(first)))
    assert (b["mean"], b["deviation"]) == pytest.approx((mean(second), stdev(second)))
    assert (c["mean"], c["deviation"]) == (0.5, None)
    assert a["runs"][-1] == str(runs[-1])
    (difference,) = found["group_differences"]
    expected = welch_interval(first, second)
    assert expected is not None
    assert difference["group"] == "B"
    assert difference["difference"] == pytest.approx(0.03)
    assert difference["interval"] == pytest.approx(expected[0])
    assert difference["freedom"] == pytest.approx(expected[1])


def record(**changes: Any) -> dict[str, Any]:
    counts = {"train": {"cat": 8, "dog": 8}, "test": {"cat": 2, "dog": 2}}
    split = {"train": [], "test": ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"]}
    return {"folder": "/pets", "content": "abc", "counts": counts, "split": split} | changes


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "A2: no weights"),
        ({"folder": "/moved"}, "A2: no weights"),
        ({"content": "at another size"}, "B: no weights"),
        ({"folder": "/moved", "content": "another"}, "other test pictures"),
        (
            {"split": {"test": ["cat/3.png", "cat/2.png", "dog/1.png", "dog/2.png"]}},
            "other test pictures",
        ),
    ],
)
def test_the_test_pictures_are_the_same_only_if_folder_or_content_and_the_split_are(
    finished_run: MakeRun, changes: dict[str, Any], reason: str
) -> None:
    runs = [finished_run("a", 0.75, record()), finished_run("b", 0.5, record(**changes))]
    first, second = read_runs(runs)
    assert same_pictures(first, second) is (reason != "other test pictures")
    assert first.test_pictures == 4
    (difference,) = without_weights(runs)["differences"]
    assert difference["reason"] == reason


def test_shards_which_list_no_files_are_the_same_by_their_content(finished_run: MakeRun) -> None:
    own = {key: value for key, value in record().items() if key != "split"}
    runs = [finished_run(name, 0.5, own | {"content": name[0]}) for name in ("a1", "a2", "b")]
    first, second, other = read_runs(runs)
    assert same_pictures(first, second)
    assert not same_pictures(first, other)


def test_the_sample_and_cifar10_are_different_pictures(finished_run: MakeRun) -> None:
    sample, cifar10 = read_runs([finished_run("a", 0.9), finished_run("b", 0.9, data__source="cifar10")])
    assert (sample.test_pictures, cifar10.test_pictures) == (200, 10_000)
    assert not same_pictures(sample, cifar10)


def test_damaged_files_are_named_in_one_line(finished_run: MakeRun) -> None:
    one, other = finished_run("a", 0.9), finished_run("b", 0.9, record())
    for content in ("{", '{"folder": "/pets"}', "[1]"):
        (other / "data.json").write_text(content)
        with pytest.raises(UserError, match=r"b/data\.json can't be read"):
            read_runs([one, other])


def test_the_page_holds_everything_and_loads_nothing(
    finished_run: MakeRun, parse: Callable[[str], Any], assert_loads_nothing: Callable[[str], None]
) -> None:
    hostile = "<script>alert(1)<"
    runs = read_runs(
        [
            finished_run("a0", 0.9),
            finished_run("a1", 0.92, training__seed=1),
            finished_run("b0", 0.93, training__epochs=20),
            finished_run("b1", 0.94, training__epochs=20, training__seed=1),
            finished_run(hostile, 0.5, data__cutout=3),
        ]
    )
    right = {runs[0].name: np.arange(200) < 180, runs[2].name: np.arange(200) >= 14}
    of = compare(runs, right, {run.name: NO_WEIGHTS for run in (runs[1], runs[3], runs[4])})
    html = render_comparison(of, {"command": "plusx compare a0 a1"})
    assert_loads_nothing(html)
    page = parse(html)
    text = " ".join(page.text.split())
    assert page.values == [
        *(run.accuracy for run in runs),
        *(difference.difference for difference in of.differences),
        *(group.mean for group in of.groups),
    ]
    assert hostile in text
    assert "paired, picture by picture" in text
    assert "unpaired, A2: no weights" in text
    assert "+3.00" in text  # B1 − A1, and 20 gained, 14 lost
    assert "B1 − A1" in text
    assert "Welch's interval" in text
    assert "data.cutout" in text
    assert "plusx compare a0 a1" in text
    assert [tag for tag, _ in page.tags].count("img") == 1


def test_the_page_rounds_settings_and_has_a_dash_for_none(
    finished_run: MakeRun, parse: Callable[..., Any]
) -> None:
    runs = [
        finished_run(
            "a", 0.92, {"folder": "pets", "content": "45dad2ce83e7", "counts": {"test": {"cat": 200}}}
        ),
        finished_run("b", 0.93, schedule__warmup_epochs=26 / 3),
    ]
    of = compare(read_runs(runs), {}, {})
    page = parse(render_comparison(of, {"command": "plusx compare a b"})).text
    assert "8.66667" in page
    assert "8.666666" not in page
    assert "45dad2ce83e7" in page
    assert "None" not in page.replace("None but", "")
