"""The whole of an explanation, what is drawn of it, and the command."""

import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import plusx
from plusx.cli import main
from plusx.data import CLASSES
from plusx.errors import UserError
from plusx.explain import Explanation, draw, explain, render_page, write
from plusx.explain.output import choose_folder
from plusx.explain.panels import HEAT, SIGNED, feature_maps, heat, seen, signed, to_bytes
from plusx.inference import Classifier
from plusx.models import Card, save_weights


@pytest.fixture(scope="module")
def explanation(classifier, image) -> Explanation:
    return explain(classifier, image)


def untrained(name: str, size: int, classes: tuple[str, ...]) -> Classifier:
    torch.manual_seed(0)
    card = Card(name, True, classes, mean=(0.5,) * 3, std=(0.25,) * 3, input_size=size, doubt=1.0)
    return Classifier(plusx.create_model(name, num_classes=len(classes)), card)


def test_the_answer_is_that_of_predict(explanation, classifier, image) -> None:
    (answer,) = classifier.predict(image)
    assert explanation.answer == answer
    assert explanation.class_name == answer.name == "dog"
    assert np.array_equal(explanation.picture, image)
    logits = explanation.integrated_gradients.logit
    assert logits == pytest.approx(classifier_logit(classifier, image, "dog"), abs=1e-3)


def classifier_logit(classifier: Classifier, image: np.ndarray, name: str) -> float:
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (classifier.card.mean, classifier.card.std))
    x = (torch.from_numpy(image).permute(2, 0, 1) / 255 - mean) / std
    with torch.no_grad():
        return float(classifier(x[None])[0, classifier.card.classes.index(name)])


def test_another_class_is_explained_on_demand(explanation, classifier, image) -> None:
    other = explain(classifier, image, class_name="horse")
    assert other.answer.name == "dog"
    assert other.class_name == "horse"
    assert other.integrated_gradients.logit == pytest.approx(
        classifier_logit(classifier, image, "horse"), abs=1e-3
    )
    assert not np.allclose(other.grad_cam, explanation.grad_cam)
    with pytest.raises(UserError, match=r"no class 'wolf'; choose one of: airplane, .*truck"):
        explain(classifier, image, class_name="wolf")


def test_one_picture_at_a_time(classifier, image) -> None:
    with pytest.raises(TypeError, match="one picture at a time, not 2"):
        explain(classifier, np.stack([image, image]))


@pytest.mark.parametrize(
    ("name", "size"), [("fast", 48), ("resnet20", 32), ("plain20", 32), ("resnet18", 64)]
)
def test_every_family_is_explained_and_drawn(name: str, size: int) -> None:
    classifier = untrained(name, size, ("猫", "$x$", "a <b>"))
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    explanation = explain(classifier, noise, class_name="猫")
    assert explanation.picture.shape == (size, size, 3)
    assert explanation.integrated_gradients.values.shape == (3, size, size)
    assert explanation.grad_cam.shape == explanation.stages[-1].maps.shape[1:]
    with Image.open(io.BytesIO(draw(explanation, "noise.png"))) as picture:
        assert picture.format == "PNG"
        assert picture.width == 1362
    page = render_page({"<noise>.png": explanation}, classifier.card)
    assert "&lt;noise&gt;.png" in page
    assert "Looks like none of the classes." in page
    assert f"{explanation.answer.name.replace('<', '&lt;').replace('>', '&gt;')}? " in page


def test_panels_show_what_they_say() -> None:
    picture = np.full((8, 8, 3), 255, np.uint8)
    cam = np.zeros((2, 2))
    cam[1, 0] = 5
    shown = heat(picture, cam)
    assert shown[7, 0].tolist() == to_bytes(0.45 + 0.55 * np.array(HEAT(1.0)[:3])).tolist()
    assert shown[0, 7].tolist() == to_bytes(0.45 + 0.55 * np.array(HEAT(0.0)[:3])).tolist()
    values = np.zeros((3, 1, 3))
    values[:, 0, 0], values[:, 0, 2] = (1, 2, 3), (-1, -2, -3)
    expected = [to_bytes(np.array(SIGNED(share)[:3])).tolist() for share in (1.0, 0.5, 0.0)]
    assert signed(values)[0].tolist() == expected
    strong, weak = feature_maps(np.array([[[4.0]], [[-1.0]]]))
    assert strong.sum() > 600
    assert weak.sum() < 20
    assert seen(picture, np.zeros((8, 8))).min() == 255


def test_the_page_is_one_file_that_loads_nothing(explanation, classifier) -> None:
    page = render_page({"dog.png": explanation}, classifier.card)
    assert not re.search(r"<script|<link[^>]+href=\"(?!data:)|https?://|url\(", page)
    assert page.count("<svg") == 3 + 4 * 7
    assert page.count("<rect") == 4 * 2
    assert all(
        address.startswith("data:image/png;base64,") for address in re.findall(r'href="([^#"]+)"', page)[1:]
    )
    top, left, bottom, right = explanation.stages[1].unit.field
    assert f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"/>' in page
    assert page.index('href="#main">Skip to the results') < page.index('<main id="main"')


def test_files_get_names_of_their_own(explanation, classifier, tmp_path: Path) -> None:
    pictures = [Path("a/dog.jpg"), Path("b/DOG.png")]
    written = write(tmp_path / "new" / "folder", dict.fromkeys(pictures, explanation), classifier.card)
    assert [path.name for path in written.values()] == ["dog.png", "DOG-2.png"]
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {
        *("dog.png", "DOG-2.png", "index.html")
    }


def test_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert choose_folder(None) == Path("explanations")
    for name in ("explanations", "explanations-2", "mine"):
        Path(name).mkdir()
    assert choose_folder(None) == Path("explanations-3")
    assert choose_folder(Path("mine")) == Path("mine")
    Path("mine/x").write_text("kept")
    for taken in ("mine", "mine/x"):
        with pytest.raises(UserError, match=r"choose another --out"):
            choose_folder(Path(taken))


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["plusx", *words])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, image) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(image).resize((200, 100)).save("a dog [1].jpg")
    save_weights(
        Path("own.safetensors"), untrained("fast", 32, CLASSES).network, untrained("fast", 32, CLASSES).card
    )
    assert command(monkeypatch, "explain", "a dog [1].jpg", "--class", "horse", "--unit", "stage2:1,2") == 0
    shown = capsys.readouterr().out
    assert "a dog [1].jpg" in shown
    assert "horse" in shown
    assert "explanations/index.html" in shown
    assert command(monkeypatch, "explain", "own.safetensors", "a dog [1].jpg", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["file"] == "explanations-2/a dog [1].png"
    assert Path(row["file"]).exists()
    assert row["doubtful"]
    assert [stage["stage"] for stage in row["stages"]] == ["stem", "stage1", "stage2", "stage3"]
    assert row["stages"][3]["unit"]["field"] == [0, 0, 32, 32]
    found = row["integrated_gradients"]
    error = abs(found["sum"] - (found["logit"] - found["baseline_logit"]))
    assert found["completeness_error"] == pytest.approx(error)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no.png"], "there is no picture no.png"),
        (["dog.png", "--unit", "stage2"], "--unit is STAGE:ROW,COLUMN, such as stage2:3,4, not 'stage2'"),
        (["dog.png", "--unit", "stage2:9,9"], "there is no unit 9,9 in stage2"),
        (["dog.png", "--class", "wolf"], "the network knows no class 'wolf'"),
        (["dog.png", "--out", "dog.png"], "dog.png is a file; choose another --out"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, image
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(image).save("dog.png")
    assert command(monkeypatch, "explain", *words) == 2
    error = capsys.readouterr().err
    assert error.startswith("plusx: ")
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["dog.png"]
