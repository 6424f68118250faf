"""The figures of the report against counts by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plusx.report.summary import (
    MISTAKES_SHOWN,
    confusion_matrix,
    most_confident_mistakes,
    summarise,
)


def test_confusion_matrix_equals_one_counted_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1, 3])
    predicted = np.array([0, 1, 1, 1, 3, 0])
    by_hand = [[1, 2, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert confusion_matrix(labels, predicted, 4).tolist() == by_hand


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1))
def test_confusion_matrix_counts_every_pair(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = np.array(pairs).T
    matrix = confusion_matrix(labels, predicted, 7)
    assert {pair: int(matrix[pair]) for pair in set(pairs)} == {
        pair: pairs.count(pair) for pair in set(pairs)
    }
    assert matrix.sum() == len(pairs)


def test_mistakes_come_surest_first_and_ties_in_order() -> None:
    answers = [(0, 0.7), (1, 0.9), (0, 0.7), (1, 0.99), (0, 0.8)]
    probabilities = np.array([[p, 1 - p] if answer == 0 else [1 - p, p] for answer, p in answers])
    labels = np.array([1, 0, 1, 1, 1])  # the surest answer, number 3, is right
    assert most_confident_mistakes(labels, probabilities).tolist() == [1, 4, 0, 2]


def test_summary_of_three_classes() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    answers = np.array([0, 1, 1, 1, 1])
    probabilities = np.full((5, 3), 0.1)
    probabilities[np.arange(5), answers] = [0.8, 0.6, 0.7, 0.8, 0.8]
    summary = summarise(np.zeros((5, 32, 32, 3), np.uint8), labels, probabilities, ["cat", "dog", "owl"])
    cat, dog, owl = summary.class_rows
    assert (summary.correct, summary.total) == (3, 5)
    assert (cat.accuracy, cat.confused_with, cat.confused) == (1 / 3, "dog", 2)
    assert (dog.accuracy, dog.confused_with) == (1.0, None)
    assert owl.accuracy is None
    assert [(m.index, m.predicted, m.true, m.confidence) for m in summary.mistakes] == [
        (2, "dog", "cat", 0.7),
        (1, "dog", "cat", 0.6),
    ]


def test_summary_shows_a_limited_number_of_mistakes() -> None:
    count = 3 * MISTAKES_SHOWN
    probabilities = np.stack([np.linspace(0.6, 0.9, count), np.linspace(0.4, 0.1, count)], axis=1)
    pictures = np.zeros((count, 8, 8, 3), np.uint8)
    summary = summarise(pictures, np.ones(count, np.int64), probabilities, ["a", "b"])
    assert [mistake.index for mistake in summary.mistakes] == list(
        range(count - 1, 2 * MISTAKES_SHOWN - 1, -1)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.zeros(0, np.int64)}, "no pictures"),
        ({"pictures": np.zeros((4, 32, 32, 3), np.float32)}, r"uint8 \(4, H, W, 3\)"),
        ({"pictures": np.zeros((3, 32, 32, 3), np.uint8)}, r"uint8 \(4, H, W, 3\)"),
        ({"probabilities": np.zeros((4, 3))}, r"\(4, 2\), are \(4, 3\)"),
        ({"probabilities": np.full((4, 2), np.nan)}, "NaN"),
        ({"labels": np.array([0, 1, 2, 0])}, "0…1"),
    ],
)
def test_summary_refuses_arrays_that_do_not_fit(change: dict[str, np.ndarray], message: str) -> None:
    arrays = {
        "pictures": np.zeros((4, 32, 32, 3), np.uint8),
        "labels": np.array([0, 1, 0, 1]),
        "probabilities": np.full((4, 2), 0.5),
    }
    with pytest.raises(ValueError, match=message):
        summarise(**(arrays | change), classes=["a", "b"])
