"""`plusx.load(…).predict(…)`: every form in which people have pictures gives the same answer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import plusx
from plusx.errors import UserError
from plusx.inference import normalise


@pytest.fixture(scope="module")
def classifier() -> plusx.inference.Classifier:
    return plusx.load("cifar10")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return plusx.data.sample("test")[0][0]


def test_a_path_an_image_and_an_array_are_the_same_picture(classifier, image, tmp_path: Path) -> None:
    Image.fromarray(image).save(tmp_path / "picture.png")
    forms = [tmp_path / "picture.png", str(tmp_path / "picture.png"), Image.fromarray(image), image]
    expected = classifier.probabilities(image)
    assert expected.shape == (1, 10)
    for form in (*forms, image[None]):
        np.testing.assert_allclose(classifier.probabilities(form), expected, atol=1e-6)
    np.testing.assert_allclose(classifier.probabilities(forms), np.repeat(expected, 4, 0), atol=1e-2)


def test_an_answer_is_the_largest_softmax_of_the_network(classifier, image) -> None:
    (answer,) = classifier.predict(image)
    card = classifier.card
    x = normalise(torch.from_numpy(image)[None], torch.tensor(card.mean), torch.tensor(card.std))
    with torch.no_grad():
        softmax = torch.softmax(classifier.network(x), 1)[0]
    assert answer.name == card.classes[int(softmax.argmax())]
    assert answer.probability == pytest.approx(float(softmax.max()), abs=0.02)  # bfloat16 against float32
    assert list(answer.probabilities.values()) == sorted(answer.probabilities.values(), reverse=True)
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert not answer.doubtful


def test_views_average_the_logits_of_a_picture_and_its_mirror(classifier, image) -> None:
    logits = [np.log(classifier.probabilities(view)) for view in (image, image[:, ::-1])]
    expected = np.exp(sum(logits) / 2)
    got = classifier.probabilities(image, views="mirror")
    np.testing.assert_allclose(got, expected / expected.sum(), atol=0.02)


def test_other_sizes_are_cut_to_the_central_square(classifier, image) -> None:
    wide = np.zeros((32, 64, 3), np.uint8)
    wide[:, 16:48] = image
    np.testing.assert_allclose(classifier.probabilities(wide), classifier.probabilities(image), atol=0.02)


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), 7, [None]])
def test_what_is_no_picture_is_refused(classifier, wrong: object) -> None:
    with pytest.raises(TypeError):
        classifier.predict(wrong)


def test_a_missing_file_is_one_line(classifier) -> None:
    with pytest.raises(UserError, match=r"there is no picture no/cat\.jpg"):
        classifier.predict(["no/cat.jpg"])
