"""`plusx compare` on runs whose networks are known, in this process."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import plusx
from plusx.commands.compare import compare
from plusx.commands.models import models
from plusx.data import load_folder, sample
from plusx.errors import UserError
from plusx.models import save_weights

MakeRun = Callable[..., Path]


def give_weights(run: Path, forgotten: int | None = None) -> np.ndarray:
    """Put the shipped network into a run; it never answers with the class `forgotten`. Return its answers."""
    network = plusx.load("cifar10")
    if forgotten is not None:
        head = [module for module in network.modules() if isinstance(module, plusx.nn.Linear)][-1]
        with torch.no_grad():
            head.weight[forgotten] = -head.weight.abs().sum(0) * 1e3
    save_weights(run / "model.safetensors", network.network, network.card)
    return network.probabilities(sample("test")[0]).argmax(1)


def test_two_networks_are_compared_picture_by_picture(
    finished_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = finished_run("one", 0.92), finished_run("other", 0.84, training__seed=1)
    labels = sample("test")[1]
    first, second = give_weights(one) == labels, give_weights(other, forgotten=3) == labels
    compare([one, other], as_json=True)
    shown = capsys.readouterr()
    assert f"naming the test pictures by {one}" in shown.err
    (difference,) = json.loads(shown.out)["differences"]
    assert difference["method"] == "paired"
    assert difference["difference"] == pytest.approx(second.mean() - first.mean())
    assert difference["gained"] == sum(b and not a for a, b in zip(first, second, strict=True))
    assert difference["lost"] == sum(a and not b for a, b in zip(first, second, strict=True)) > 10
    assert difference["interval"][0] < difference["difference"] < difference["interval"][1] < 0


def test_without_weights_the_comparison_says_that_it_is_not_paired(
    finished_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = finished_run("one", 0.92), finished_run("other", 0.84, training__epochs=5)
    compare([one, other])
    shown = capsys.readouterr().out
    assert "unpaired, A: no weights" in shown
    assert "−8.00" in shown
    assert "training.epochs" in shown
    give_weights(one)
    compare([one, other])
    assert "unpaired, B: no weights" in capsys.readouterr().out


def test_on_a_narrow_terminal_letters_and_runs_stay(
    finished_run: MakeRun, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = finished_run("one", 0.92), finished_run("other", 0.84)
    monkeypatch.setenv("COLUMNS", "60")
    compare([one, other])
    first, _, rest = capsys.readouterr().out.partition(" A2 ")
    assert str(one) in "".join(line[3:24].strip() for line in first.splitlines()[1:])
    assert " A1 " in first
    assert "84.00 %" in rest
    models()
    assert "resnet152  plain152" in capsys.readouterr().out


def test_a_page_with_all_runs_is_written(
    finished_run: MakeRun, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    compare([finished_run("one", 0.92), finished_run("other", 0.84)], page=tmp_path / "page.html")
    assert "written: " in capsys.readouterr().out
    assert "other" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_runs_on_a_changed_folder_are_not_paired(
    finished_run: MakeRun, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for number, image in enumerate(sample("test")[0][:20]):
        place = tmp_path / "pictures" / ("cat", "dog")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.png")
    record = load_folder(tmp_path / "pictures").record
    source = str(tmp_path / "pictures")
    one, other = (finished_run(name, 0.5, record, data__source=source) for name in ("one", "other"))
    give_weights(one)
    give_weights(other)
    compare([one, other], as_json=True)
    assert json.loads(capsys.readouterr().out)["differences"][0]["method"] == "paired"
    Image.new("RGB", (32, 32)).save(tmp_path / "pictures" / "cat" / "0.png")
    compare([one, other], as_json=True)
    (difference,) = json.loads(capsys.readouterr().out)["differences"]
    assert difference["method"] == "unpaired"
    assert "changed since it was trained" in difference["reason"]


def test_a_user_s_error_is_one_line(finished_run: MakeRun, tmp_path: Path) -> None:
    one, other = finished_run("one", 0.92), finished_run("other", 0.84)
    (other / "result.json").unlink()
    for runs, says in (
        ([one], "two finished runs at least"),
        ([one, one / ".." / "one"], "are the same run"),
        ([one, other], "result.json can't be read"),
        ([one, tmp_path / "nowhere"], "give the directory of a finished run"),
    ):
        with pytest.raises(UserError, match=says) as caught:
            compare(runs)
        assert "\n" not in str(caught.value)
