"""`plusx evaluate` on a folder of pictures, in this process."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import plusx
from plusx.commands.evaluate import evaluate
from plusx.data import CLASSES, sample
from plusx.data.corruptions import STRENGTHS
from plusx.errors import UserError

NAMES = ("automobile", "cat", "dog")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images, labels = sample("test")
    for name in NAMES:
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number, image in enumerate(images[labels == CLASSES.index(name)]):
            Image.fromarray(image).save(tmp_path / "pictures" / name / f"{number}.png")
    return tmp_path / "pictures"


def test_everything_is_measured_and_the_files_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str], assert_loads_nothing: Callable[[str], None]
) -> None:
    page = folder.parent / "page.html"
    evaluate(Path("cifar10"), data=str(folder), corruptions=True, page=page, as_json=True)
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert f"written: {page}" in shown.err
    files = sorted(folder.rglob("*.png"))
    answers = dict(zip(files, plusx.load("cifar10").predict(files), strict=True))
    wrong = {path: answer for path, answer in answers.items() if answer.name != path.parent.name}
    assert found["test_accuracy"] == 1 - len(wrong) / 60
    assert {folder / mistake["picture"] for mistake in found["mistakes"]} == wrong.keys()
    for mistake in found["mistakes"]:
        answer = answers[folder / mistake["picture"]]
        assert mistake["predicted"] == answer.name
        assert mistake["confidence"] == pytest.approx(answer.probability, abs=0.01)
        assert mistake["true"] == Path(mistake["picture"]).parent.name
    counts = found["confusion"]["counts"]
    assert sum(map(sum, counts)) == 60
    assert counts[CLASSES.index("cat")][CLASSES.index("dog")] == sum(
        path.parent.name == "cat" and answer.name == "dog" for path, answer in wrong.items()
    )
    assert sum(b["pictures"] for b in found["reliability"]) == 60
    assert found["corruptions"].keys() == STRENGTHS.keys()
    html = page.read_text(encoding="utf-8")
    assert_loads_nothing(html)
    assert all(mistake["picture"] in html for mistake in found["mistakes"])


def test_the_terminal_shows_the_surest_mistakes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(Path("cifar10"), data=str(folder), views="none")
    shown = capsys.readouterr().out
    assert "surest mistakes" in shown
    assert ".png" in shown
    assert "views" not in shown
    assert "strength" not in shown


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_counts_on_a_terminal_alone(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
    evaluate(Path("cifar10"), data=str(folder), as_json=True)
    shown = capsys.readouterr()
    json.loads(shown.out)
    assert ("with mirror views" in shown.err and "60/60" in shown.err) == terminal


def test_pictures_that_changed_since_the_training_are_remarked_on(
    folder: Path, capsys: pytest.CaptureFixture[str], finished_run: Callable[..., Path]
) -> None:
    record = plusx.data.load_folder(folder).record
    run = finished_run("run", 0.9, record | {"content": "other"}, data__source=str(folder))
    network = plusx.load("cifar10")
    plusx.models.save_weights(run / "model.safetensors", network.network, network.card)
    evaluate(run, views="none", as_json=True)
    assert "changed since the run was trained" in json.loads(capsys.readouterr().out)["remarks"][0]
    (run / "data.json").write_text(json.dumps(record))
    evaluate(run, views="none", as_json=True)
    assert json.loads(capsys.readouterr().out)["remarks"] == []
    split = {"train": record["split"]["test"], "test": record["split"]["train"]}
    (run / "data.json").write_text(json.dumps(record | {"split": split}))
    evaluate(run, views="none", as_json=True)
    assert "changed since the run was trained" in json.loads(capsys.readouterr().out)["remarks"][0]
    (run / "data.json").write_text("{")
    with pytest.raises(UserError, match=r"data\.json can't be read"):
        evaluate(run, views="none")


def test_a_run_s_own_pictures_are_split_as_then_from_wherever_they_are_named(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    finished_run: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = plusx.data.load_folder(folder).record
    monkeypatch.chdir(folder.parent)
    run = finished_run("run", 0.9, record, data__source=folder.name)  # as a user types it: relative
    network = plusx.load("cifar10")
    plusx.models.save_weights(run / "model.safetensors", network.network, network.card)
    copy, others = folder.parent / "copy", folder.parent / "others"
    shutil.copytree(folder, copy)
    shutil.copytree(folder, others)
    (others / NAMES[0] / "0.png").unlink()
    (folder.parent / "elsewhere").mkdir()

    def tested(what: Path, data: Path | None) -> int:
        evaluate(what, data=data and str(data), views="none", as_json=True)
        return sum(map(sum, json.loads(capsys.readouterr().out)["confusion"]["counts"]))

    for place in (folder.parent, folder.parent / "elsewhere"):
        monkeypatch.chdir(place)
        for what in (run, run / "model.safetensors"):
            assert [tested(what, data) for data in (None, folder, copy, others)] == [12, 12, 12, 59]


def test_pictures_that_were_moved_are_asked_for(folder: Path, finished_run: Callable[..., Path]) -> None:
    run = finished_run("run", 0.9, plusx.data.load_folder(folder).record, data__source=str(folder))
    network = plusx.load("cifar10")
    plusx.models.save_weights(run / "model.safetensors", network.network, network.card)
    folder.rename(folder.parent / "moved")
    with pytest.raises(
        UserError, match="pictures: no such folder; if the pictures were moved, say where: --data"
    ):
        evaluate(run)
    evaluate(run, data=str(folder.parent / "moved"), views="none")
    with pytest.raises(UserError, match="--data is empty"):
        evaluate(run, data="")
