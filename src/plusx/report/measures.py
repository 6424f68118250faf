"""What answers are worth beyond their accuracy: precision, recall and F1 by class, top 5, calibration."""

from typing import NamedTuple

import numpy as np

BINS = 15  # of confidence, as in Guo et al. 2017


class ClassMeasures(NamedTuple):
    """How one class fared; each share is 0…1, and NaN where there is nothing to divide by."""

    pictures: int
    precision: float
    """Of the pictures that were given this name, how many deserve it."""
    recall: float
    """Of the pictures of this class, how many were given its name: the accuracy of the class."""
    f1: float
    """The harmonic mean of the two."""


def by_class(confusion: np.ndarray) -> list[ClassMeasures]:
    """Precision, recall and F1 of each class, from a confusion matrix with the true classes in its rows.

    >>> first, second = by_class(np.array([[3, 1], [0, 4]]))
    >>> first.precision, first.recall, round(second.f1, 3)
    (1.0, 0.75, 0.889)
    """
    right, true, named = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    return [
        ClassMeasures(int(n), _share(r, m), _share(r, n), _share(2 * r, n + m))
        for r, n, m in zip(right, true, named, strict=True)
    ]


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")


def top(labels: np.ndarray, probabilities: np.ndarray, count: int) -> float:
    """Share of pictures whose true class is among the `count` likeliest; probabilities (N, classes).

    >>> top(np.array([2, 0]), np.array([[0.5, 0.2, 0.3], [0.1, 0.5, 0.4]]), 2)
    0.5
    """
    likeliest = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    return float((likeliest == labels[:, None]).any(1).mean())


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """How far confidence and accuracy lie apart on average (expected calibration error, Guo et al. 2017).

    Answers are sorted into 15 bins of equal width by their confidence, the largest probability; the error is
    the mean over the answers of |accuracy − confidence| of their bin. arXiv 1706.04599, equation 3.

    >>> sure = np.array([[0.9, 0.1]] * 10)
    >>> round(calibration_error(np.array([0] * 6 + [1] * 4), sure), 6)  # 90 % sure, 60 % right
    0.3
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    sums = np.bincount(bins, right.astype(float) - confidence, minlength=BINS)
    return float(np.abs(sums).sum() / len(labels))
