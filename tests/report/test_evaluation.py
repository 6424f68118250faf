"""An evaluation for programs and as a page, from answers that are known."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from plusx.report.evaluation import Evaluation, evaluate_answers, to_json
from plusx.report.evaluation_page import render_evaluation

FACTS = {"command": "plusx evaluate run --page page.html", "threads": 2}
PICTURES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.9, 0.1, 0.0], [0.3, 0.65, 0.05], [0.8, 0.1, 0.1]], np.float32)
LABELS = np.array([0, 1, 1, 1])


def evaluation(labels: np.ndarray = LABELS, **changes: Any) -> Evaluation:
    names: dict[str, Any] = {"classes": ("cat", "dog", "owl"), "network": "run", "data": "pets"}
    return evaluate_answers(labels, PROBABILITIES, pictures=PICTURES, **(names | changes))


def test_json_says_what_a_count_by_hand_says() -> None:
    found = json.loads(json.dumps(to_json(evaluation(paths=["a.png", "b.png", "c.png", "d.png"]))))
    assert (found["pictures"], found["test_accuracy"]) == (4, 0.5)
    assert found["test_loss"] == pytest.approx(-np.log([0.7, 0.1, 0.65, 0.1]).mean(), abs=1e-6)
    assert found["confusion"] == {
        "classes": ["cat", "dog", "owl"],
        "counts": [[1, 0, 0], [2, 1, 0], [0, 0, 0]],
    }
    assert found["classes"]["cat"] == {
        "pictures": 1,
        "precision": pytest.approx(1 / 3),
        "recall": 1,
        "f1": 0.5,
    }
    assert "owl" not in found["classes"]
    assert [(m["index"], m["picture"], m["predicted"], m["true"]) for m in found["mistakes"]] == [
        (1, "b.png", "cat", "dog"),
        (3, "d.png", "cat", "dog"),
    ]
    assert found["mistakes"][0]["confidence"] == pytest.approx(0.9)
    assert found["corruptions"] is None
    assert found["test_accuracy_corrupted"] is None
    # 0.65 and 0.7 lie in different bins of a fifteenth, and so do 0.8 and 0.9.
    filled = [(b["pictures"], b["accuracy"]) for b in found["reliability"] if b["pictures"]]
    assert filled == [(1, 1.0), (1, 1.0), (1, 0.0), (1, 0.0)]
    assert found["reliability"][0] == {"low": 0, "high": pytest.approx(1 / 15), "pictures": 0} | {
        "confidence": None,
        "accuracy": None,
    }
    assert found["calibration_error"] == pytest.approx((0.35 + 0.3 + 0.8 + 0.9) / 4)


def test_json_holds_the_strengths_beside_the_accuracies_under_corruptions() -> None:
    accuracies = {"contrast": [0.5, 0.4, 0.3, 0.2, 0.1], "jpeg_compression": [0.5] * 5}
    found = to_json(evaluation(corruptions=accuracies))
    assert found["corruptions"]["contrast"]["strengths"] == (0.75, 0.5, 0.4, 0.3, 0.15)
    assert found["corruptions"]["contrast"]["accuracies"] == accuracies["contrast"]
    assert found["test_accuracy_corrupted"] == pytest.approx(0.4)


def test_the_page_holds_everything_and_loads_nothing(
    parse: Callable[[str], Any], assert_loads_nothing: Callable[[str], None]
) -> None:
    corruptions = {"gaussian_noise": [0.5, 0.4, 0.3, 0.2, 0.1], "contrast": [0.25] * 5}
    remark = "the pictures changed"
    of = evaluation(corruptions=corruptions, paths=["a.png", "dog/b.png", "c", "d"], remarks=[remark])
    html = render_evaluation(of, PICTURES, FACTS)
    assert_loads_nothing(html)
    page = parse(html)
    # Accuracy, its calibration and corruption figures, the cross-entropy.
    assert page.values == [of.accuracy, of.calibration_error, of.accuracy_corrupted, of.loss]
    words = (
        "50.00 %",
        "15.00 % to 85.00 %",
        "Gaussian noise",
        "dog/b.png",
        "cat 90.0 %",
        "true: dog",
        remark,
    )
    for word in (*words, "plusx evaluate run --page page.html"):
        assert word in page.text, word
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 3 + 2  # confusion, reliability, corruptions; two mistakes
    assert all(len(image["alt"]) > 10 for image in images)
    dark = [attributes["srcset"] for tag, attributes in page.tags if tag == "source"]
    assert len({*dark, *(image["src"] for image in images)}) == 3 + 3 + 2
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {a["href"].removeprefix("#") for tag, a in page.tags if tag == "a"} <= targets


def test_the_page_of_a_faultless_network_without_corruptions(parse: Callable[[str], Any]) -> None:
    page = parse(render_evaluation(evaluation(PROBABILITIES.argmax(1)), PICTURES, FACTS))
    assert "None: all 4 test pictures were named right." in page.text
    assert "Corruptions" not in page.text
    assert [tag for tag, _ in page.tags].count("img") == 2


def test_strange_names_stay_text(parse: Callable[[str], Any]) -> None:
    hostile = "<script>alert(1)</script>{{ 7*7 }}"
    of = evaluation(classes=(hostile, "$x$", ""), network=hostile, paths=[hostile] * 4, remarks=[hostile])
    page = parse(render_evaluation(of, PICTURES, {hostile: hostile}))
    assert "script" not in [tag for tag, _ in page.tags]
    assert page.text.count(hostile) >= 8
