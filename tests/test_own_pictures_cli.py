"""From a user's own folder of pictures to answers, by the commands, each in a process of its own."""

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from plusx.data import CLASSES, sample
from plusx.errors import UserError
from plusx.train import claim, load_recipe, refuse_changed
from tests.conftest import plusx

QUICK = ("--epochs", "1", "--set", "training.small_size=8", "--set", "training.small_epochs=1")


def fingerprint(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("own")
    images, labels = sample("train")
    for label, name in ((3, "猫"), (5, "dog"), (8, "ship [old]")):
        (place / "pictures" / name).mkdir(parents=True)
        for number, image in enumerate(images[labels == label][:30]):
            Image.fromarray(image).save(place / "pictures" / name / f"{number}.png")
    (place / "pictures" / "dog" / "broken.png").write_bytes(b"\x89PNG")
    return place


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    before = fingerprint(place / "pictures")
    done = plusx("train", "--data", "pictures", *QUICK, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "note: 1 of 91 files skipped, first dog/broken.png" in done.stdout
    assert fingerprint(place / "pictures") == before
    return place / "runs" / "fast-seed0"


def test_the_run_says_which_pictures_it_was(run: Path) -> None:
    record = json.loads((run / "data.json").read_text(encoding="utf-8"))
    assert record["classes"] == ["dog", "ship [old]", "猫"]
    assert record["counts"]["test"] == {"dog": 6, "ship [old]": 6, "猫": 6}
    assert not {*record["split"]["train"]} & {*record["split"]["test"]}
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "plusx train --data pictures" in page
    assert "猫" in page


def test_evaluate_takes_the_run_s_own_test_pictures(run: Path, place: Path) -> None:
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    own = json.loads(plusx("evaluate", run, "--json", cwd=place).stdout)
    assert own["pictures"] == 18
    assert own["test_accuracy"] == result["test_accuracy"]
    low, high = own["test_accuracy_interval"]
    assert 0 <= low <= own["test_accuracy"] <= high <= 1
    assert "ship [old]" in plusx("evaluate", run, cwd=place).stdout


def test_evaluate_measures_on_all_of_another_folder(run: Path, place: Path) -> None:
    images, labels = sample("test")
    for label, name in ((5, "dog"), (3, "猫")):
        (place / "new" / name).mkdir(parents=True)
        for number, image in enumerate(images[labels == label]):
            Image.fromarray(image).save(place / "new" / name / f"{number}.png")
    found = json.loads(plusx("evaluate", run, "--data", "new", "--json", cwd=place).stdout)
    assert found["pictures"] == 40
    assert list(found["by_class"]) == ["dog", "猫"]
    (place / "new" / "dog").rename(place / "new" / "wolf")
    refused = plusx("evaluate", run, "--data", "new", cwd=place)
    assert refused.returncode == 2
    assert "but not wolf" in refused.stderr


def test_training_begins_from_trained_weights(run: Path, place: Path) -> None:
    done = plusx("train", "--data", "pictures", "--from", "cifar10", *QUICK, "--out", "tuned", cwd=place)
    assert done.returncode == 0, done.stderr
    recipe = load_recipe(str(place / "tuned" / "recipe.toml"))
    assert recipe.model.begin_from == "cifar10"
    assert recipe.optimizer.learning_rate == pytest.approx(load_recipe("fast").optimizer.learning_rate / 3)
    refused = plusx(
        "train", "resnet20", "--data", "pictures", "--from", "cifar10", "--out", "other", cwd=place
    )
    assert refused.returncode == 2
    assert "holds another network" in refused.stderr
    assert not (place / "other").exists()


def test_strict_stops_at_a_broken_picture_and_leaves_nothing(place: Path) -> None:
    done = plusx("train", "--data", "pictures", "--strict", "--out", "strict", cwd=place)
    assert done.returncode == 2
    assert "broken.png" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (place / "strict").exists()


def test_inspect_tells_before_training(place: Path) -> None:
    shown = plusx("data", "inspect", "pictures", "--page", "page.html", cwd=place).stdout
    assert "ship [old]" in shown
    assert "sizes: 32×32; read as 32×32" in shown
    assert "skipped: dog/broken.png" in shown
    page = (place / "page.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3
    assert "http:" not in page
    assert "https:" not in page
    assert json.loads(plusx("data", "inspect", "pictures", "--json", cwd=place).stdout)["size"] == 32
    nowhere = plusx("data", "inspect", "pictures", "--page", "no/such/page.html", cwd=place)
    assert nowhere.returncode == 2
    assert "there is no folder no/such" in nowhere.stderr
    again = plusx("data", "inspect", "pictures", "--page", "page.html", cwd=place)
    assert again.returncode == 2
    assert "page.html exists; choose another --page, or replace it with --force" in again.stderr
    assert (place / "page.html").read_text(encoding="utf-8") == page
    assert plusx("data", "inspect", "pictures", "--page", "page.html", "--force", cwd=place).returncode == 0


def test_a_run_does_not_go_on_with_other_pictures(tmp_path: Path) -> None:
    record = {"folder": "pictures", "content": "abc"}
    claim(tmp_path / "run", load_recipe("fast"), record)
    refuse_changed(tmp_path / "run", record)
    refuse_changed(tmp_path / "run", {})
    with pytest.raises(UserError, match="the pictures in pictures changed since the run"):
        refuse_changed(tmp_path / "run", record | {"content": "abd"})


def test_the_fixture_s_labels_are_what_it_says() -> None:
    assert (CLASSES[3], CLASSES[5], CLASSES[8]) == ("cat", "dog", "ship")
