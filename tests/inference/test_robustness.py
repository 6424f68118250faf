"""Accuracy under corruptions beside one counted picture by picture."""

import numpy as np
import pytest

import plusx
from plusx.data.corruptions import STRENGTHS, corrupt
from plusx.inference import accuracy_under_corruptions, robustness


@pytest.mark.parametrize("batch", [1000, 8])
def test_each_accuracy_is_that_on_the_corrupted_pictures(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robustness, "BATCH", batch)
    classifier = plusx.load("cifar10")
    images, labels = (part[::10] for part in plusx.data.sample("test"))
    found = accuracy_under_corruptions(classifier, images, labels, seed=3)
    assert list(found) == list(STRENGTHS)
    assert all(len(accuracies) == 5 for accuracies in found.values())
    for kind, strength in (("gaussian_noise", 1), ("gaussian_blur", 5), ("contrast", 4)):
        corrupted = corrupt(images, kind, strength, np.random.default_rng(3))
        names = [answer.name for answer in classifier.predict(corrupted)]
        right = [name == plusx.data.CLASSES[label] for name, label in zip(names, labels, strict=True)]
        assert found[kind][strength - 1] == sum(right) / len(labels)


def test_pictures_of_another_size_are_corrupted_as_the_network_sees_them() -> None:
    classifier = plusx.load("cifar10")
    images, labels = (part[::20] for part in plusx.data.sample("test"))
    large = images.repeat(2, axis=1).repeat(2, axis=2)
    assert accuracy_under_corruptions(classifier, large, labels) == accuracy_under_corruptions(
        classifier, classifier.read(large), labels
    )
