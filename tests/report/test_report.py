"""Whole reports of made-up runs: the files, the figures on the page, and what must never be on it."""

import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import plusx.report
from plusx.errors import UserError
from plusx.report.figures import draw_confusion, draw_curves
from plusx.report.run_files import read_files
from plusx.report.style import LIGHT
from plusx.report.summary import summarise

MakeRun = Callable[..., Any]
MakePage = Callable[[str], Any]
FILES = ("curves.png", "confusion.png", "mistakes.png", "report.html")


def snapshot(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_report_writes_three_pictures_and_a_page(finished: Any) -> None:
    given = {"recipe.toml", "metrics.jsonl", "result.json", "environment.json", "terminal.svg"}
    assert set(snapshot(finished.directory)) == given | set(FILES)
    for name in FILES[:3]:
        with Image.open(finished.directory / name) as picture:
            picture.verify()
            assert picture.format == "PNG"
            assert 1200 <= picture.width <= 3000
            assert 300 <= picture.height <= 3000


def test_page_shows_the_figures_of_the_result(parse: MakePage, finished: Any) -> None:
    page = parse((finished.directory / "report.html").read_text(encoding="utf-8"))
    result = json.loads((finished.directory / "result.json").read_text())
    figures = [result[key] for key in ("test_accuracy", "test_accuracy_tta", "train_accuracy")]
    figures += [result["seconds"]["train"], result["images_per_second"], result["parameters"]]
    assert page.values == [*figures, *result["seconds"].values(), result["peak_memory_bytes"]]
    # 360 of 400 right: Wilson's interval is 0.8667 to 0.9257.
    for words in (
        "90.00 %",
        "86.67 % to 92.57 %",
        "93.75 %",
        "6 min 59 s",
        "cpu, native",
    ):
        assert words in page.text
    assert "no epoch was chosen" in page.text
    assert "later evaluation" not in page.text
    assert "<done> & dusted" in page.text


def test_page_says_so_when_the_pictures_come_from_another_evaluation(
    parse: MakePage, make_run: MakeRun
) -> None:
    run = make_run()
    run.change_result(test_accuracy=0.895, test_accuracy_tta=None)
    page = parse(run.write())
    assert "named 360 of 400 pictures right" in " ".join(page.text.split())
    assert "test-time views" not in page.text


def test_page_loads_nothing_and_runs_nothing(
    assert_loads_nothing: Callable[[str], None], finished: Any
) -> None:
    html = (finished.directory / "report.html").read_text(encoding="utf-8")
    assert_loads_nothing(html)


def test_page_is_built_for_everyone(parse: MakePage, finished: Any) -> None:
    page = parse((finished.directory / "report.html").read_text(encoding="utf-8"))
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 3
    assert all(len(attributes["alt"] or "") > 20 for attributes in images)
    assert [tag for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)][:2] == ["h1", "h2"]
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [attributes["href"] or "" for tag, attributes in page.tags if tag == "a"]
    assert links[0] == "#main"
    assert {link.removeprefix("#") for link in links} <= targets
    dark = [attributes for tag, attributes in page.tags if tag == "source"]
    assert len(dark) == 3
    assert all(a["srcset"] != b["src"] for a, b in zip(dark, images, strict=True))


def test_the_command_that_repeats_a_resumed_run_is_its_recipe(
    parse: MakePage, make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run()
    place = run.directory.rename(tmp_path / "my run")
    for typed, again in (
        ("plusx train --data pets --set data.crop=2", "plusx train --data pets --set data.crop=2"),
        ("plusx train --resume 'my run'", f"plusx train '{place}/recipe.toml'"),
    ):
        (place / "environment.json").write_text(json.dumps({"command": typed}))
        page = parse(run._replace(directory=place).write())
        assert f"\n  {again}\n" in page.text


def test_strange_names_stay_text(parse: MakePage, make_run: MakeRun) -> None:
    hostile = '"><script>alert(1)</script>{{ 7*7 }}'
    run = make_run(classes=[hostile, "$\\frac{", "", "dog & <b>cat</b>"])
    (run.directory / "recipe.toml").write_text(f"name = '{hostile}'")
    (run.directory / "environment.json").write_text(json.dumps({hostile: hostile}))
    run.change_result(recipe=hostile, model="</title><img src=x>", device=hostile)
    page = parse(run.write())
    names = [tag for tag, _ in page.tags]
    assert "script" not in names
    assert names.count("img") == 3
    assert page.text.count(hostile) >= 6


@pytest.mark.parametrize("count", [2, 10, 20, 21, 100])
def test_confusion_is_drawn_for_any_number_of_classes(make_run: MakeRun, count: int) -> None:
    run = make_run(classes=[f"class {index}" for index in range(count)])
    png = draw_confusion(summarise(**run.arrays), LIGHT)
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.width == picture.height == (2800 if count == 100 else 1360)


@pytest.mark.parametrize("wrong_every", [None, 200])
def test_few_or_no_mistakes(parse: MakePage, make_run: MakeRun, wrong_every: int | None) -> None:
    run = make_run(wrong_every=wrong_every)
    page = parse(run.write())
    assert ("No mistakes to show." in str(page.tags)) == (wrong_every is None)


def test_one_epoch_is_enough(parse: MakePage, make_run: MakeRun) -> None:
    page = parse(make_run(epochs=1).write())
    assert "1 epoch, seed 3" in page.text


def test_validation_set_and_a_test_in_the_last_epoch_only(parse: MakePage, make_run: MakeRun) -> None:
    run = make_run()

    def hold_out(row: dict[str, Any]) -> dict[str, Any]:
        untested = {} if row["epoch"] == row["epochs"] else {"test_loss": None, "test_accuracy": None}
        return row | untested | {"validation_loss": 1.25, "validation_accuracy": 0.8125}

    run.change_metrics(hold_out)
    page = parse(run.write())
    assert page.text.count("81.25 %") == 4
    assert "Validation accuracy" in page.text


def test_epochs_that_were_not_measured(parse: MakePage, make_run: MakeRun) -> None:
    run = make_run()

    def measure_seldom(row: dict[str, Any]) -> dict[str, Any]:
        return row if row["epoch"] == row["epochs"] else row | {"test_loss": None, "test_accuracy": None}

    run.change_metrics(measure_seldom)
    page = parse(run.write())
    assert "Validation accuracy" not in page.text
    assert "None" not in page.text


def test_without_a_recorded_terminal_the_section_is_left_out(parse: MakePage, make_run: MakeRun) -> None:
    run = make_run()
    (run.directory / "terminal.svg").unlink()
    page = parse(run.write())
    assert "Terminal" not in page.text
    assert "svg" not in [tag for tag, _ in page.tags]


def test_a_second_report_equals_the_first(finished: Any) -> None:
    first = snapshot(finished.directory)
    finished.write()
    assert snapshot(finished.directory) == first


def test_mistakes_are_enlarged_pixel_by_pixel(make_run: MakeRun) -> None:
    run = make_run(wrong_every=400)
    run.write()
    with Image.open(run.directory / "mistakes.png") as image:
        drawn = np.asarray(image.convert("RGB"))
    enlarged = run.arrays["pictures"][0].repeat(7, axis=0).repeat(7, axis=1)
    assert np.array_equal(drawn[120 : 120 + 224, 40 : 40 + 224], enlarged)


def test_an_error_while_drawing_changes_nothing(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    (run.directory / "curves.png").write_bytes(b"an older picture")
    before = snapshot(run.directory)

    def fail(*_: Any) -> str:
        raise RuntimeError("midway")

    monkeypatch.setattr(plusx.report, "render_page", fail)
    with pytest.raises(RuntimeError, match="midway"):
        run.write()
    assert snapshot(run.directory) == before


def test_a_full_disk_changes_nothing(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    before = snapshot(run.directory)
    written: list[int] = []

    def fill(file: int) -> None:
        written.append(file)
        if len(written) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(OSError, match=r"No space left.*mistakes\.png"):
        run.write()
    assert snapshot(run.directory) == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("recipe.toml", None, "No such file"),
        ("recipe.toml", b"\xff\xfe", "not UTF-8"),
        ("metrics.jsonl", b"", "is empty"),
        ("metrics.jsonl", b'{"epoch": 1', "line 1 is not JSON"),
        ("metrics.jsonl", b'{"epoch": 1}', "line 1 lacks images_per_second, learning_rate"),
        ("result.json", b"[]", "not a JSON object"),
        ("result.json", b"{}", "lacks device, engine"),
        ("environment.json", b"?", "not JSON"),
    ],
)
def test_a_damaged_run_is_named_in_one_line(
    make_run: MakeRun, name: str, content: bytes | None, message: str
) -> None:
    run = make_run()
    path = run.directory / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        run.write()
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_curves_follow_the_metrics(make_run: MakeRun) -> None:
    run = make_run()
    first = draw_curves(read_files(run.directory), LIGHT)
    run.change_metrics(lambda row: row | {"test_accuracy": row["test_accuracy"] - 0.01 * row["epoch"]})
    assert draw_curves(read_files(run.directory), LIGHT) != first


def test_a_recipe_named_like_its_model_is_in_the_title_once(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    monkeypatch.setattr("plusx.report.figures.title", lambda _, text: titles.append(text))
    run = make_run(epochs=1)
    draw_curves(read_files(run.directory), LIGHT)
    run.change_result(recipe="mine")
    draw_curves(read_files(run.directory), LIGHT)
    assert titles == ["fast · seed 3", "mine · fast · seed 3"]


def test_arrays_of_another_test_set_are_refused(make_run: MakeRun) -> None:
    run = make_run()
    run.arrays["classes"] = run.arrays["classes"][:9]
    with pytest.raises(ValueError, match=r"\(400, 9\), are \(400, 10\)"):
        run.write()
