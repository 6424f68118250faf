"""Measures beside definitions written out picture by picture."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from plusx.report.measures import BINS, by_class, calibration_error, top
from plusx.report.summary import confusion_matrix

SEEDS = st.integers(0, 10_000)


def answers(seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    count, classes = int(generator.integers(1, 60)), int(generator.integers(2, 8))
    return generator.integers(classes, size=count), generator.dirichlet(np.ones(classes), size=count)


@given(SEEDS)
def test_precision_recall_and_f1_are_their_definitions(seed: int) -> None:
    labels, probabilities = answers(seed)
    named = probabilities.argmax(1)
    for label, of in enumerate(by_class(confusion_matrix(labels, named, probabilities.shape[1]))):
        hits = sum(a == b == label for a, b in zip(labels, named, strict=True))
        false_alarms = sum(b == label != a for a, b in zip(labels, named, strict=True))
        misses = sum(a == label != b for a, b in zip(labels, named, strict=True))
        assert of.pictures == hits + misses
        assert of.precision == (hits / (hits + false_alarms) if hits + false_alarms else None)
        assert of.recall == (hits / (hits + misses) if hits + misses else None)
        whole = 2 * hits + false_alarms + misses
        assert of.f1 == (2 * hits / whole if whole else None)


@given(SEEDS)
def test_calibration_error_is_its_definition(seed: int) -> None:
    labels, probabilities = answers(seed)
    total = 0.0
    for number in range(BINS):
        inside = [
            (row.max(), row.argmax() == label)
            for row, label in zip(probabilities, labels, strict=True)
            if number / BINS <= row.max() < (number + 1) / BINS or (number == BINS - 1 and row.max() == 1)
        ]
        if inside:
            confidence, right = np.mean([c for c, _ in inside]), np.mean([r for _, r in inside])
            total += len(inside) / len(labels) * abs(right - confidence)
    assert abs(calibration_error(labels, probabilities) - total) < 1e-9


@given(SEEDS)
def test_the_first_few_hold_more_and_more(seed: int) -> None:
    labels, probabilities = answers(seed)
    shares = [top(labels, probabilities, count) for count in range(1, probabilities.shape[1] + 1)]
    assert shares[0] == (probabilities.argmax(1) == labels).mean()
    assert shares == sorted(shares)
    assert shares[-1] == 1
