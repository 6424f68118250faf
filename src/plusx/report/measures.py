"""What answers are worth beyond their accuracy: precision, recall and F1 by class, top 5, calibration."""

from typing import NamedTuple

import numpy as np

BINS = 15  # of confidence, as in Guo et al. 2017


class ClassMeasures(NamedTuple):
    """How one class fared; each share is 0…1, and None where there is nothing to divide by."""

    pictures: int
    precision: float | None
    """Of the pictures that were given this name, how many deserve it."""
    recall: float | None
    """Of the pictures of this class, how many were given its name: the accuracy of the class."""
    f1: float | None
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


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def top(labels: np.ndarray, probabilities: np.ndarray, count: int) -> float:
    """Share of pictures whose true class is among the `count` likeliest; probabilities (N, classes).

    >>> top(np.array([2, 0]), np.array([[0.5, 0.2, 0.3], [0.1, 0.5, 0.4]]), 2)
    0.5
    """
    likeliest = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    return float((likeliest == labels[:, None]).any(1).mean())


class Bin(NamedTuple):
    """Answers of about the same confidence; the means are NaN where there is none."""

    low: float
    """Confidence, 0…1, from which on an answer belongs here."""
    high: float
    pictures: int
    confidence: float
    """Mean of the answers' confidence, the largest probability."""
    accuracy: float
    """How many of them are right, 0…1."""


def reliability(labels: np.ndarray, probabilities: np.ndarray) -> list[Bin]:
    """Sort answers into 15 bins of equal width by confidence: is what is 80 % sure right in 80 %?

    Args:
        labels: true classes, int (N,).
        probabilities: float (N, classes).

    >>> bins = reliability(np.array([0, 0, 1]), np.array([[0.9, 0.1]] * 3))
    >>> bins[13].pictures, round(bins[13].confidence, 3), round(bins[13].accuracy, 3)
    (3, 0.9, 0.667)
    """
    confidence, right = probabilities.max(1).astype(float), probabilities.argmax(1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts, sure, hits = (
        np.bincount(bins, weights, minlength=BINS) for weights in (None, confidence, right.astype(float))
    )
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: no answer of this confidence
        means = zip(sure / counts, hits / counts, strict=True)
    return [
        Bin(i / BINS, (i + 1) / BINS, int(counts[i]), float(mean_sure), float(mean_right))
        for i, (mean_sure, mean_right) in enumerate(means)
    ]


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """How far confidence and accuracy lie apart on average (expected calibration error, Guo et al. 2017).

    The mean over the answers of |accuracy − confidence| of their bin, see `reliability`. arXiv 1706.04599,
    equation 3.

    >>> sure = np.array([[0.9, 0.1]] * 10)
    >>> round(calibration_error(np.array([0] * 6 + [1] * 4), sure), 6)  # 90 % sure, 60 % right
    0.3
    """
    filled = [of for of in reliability(labels, probabilities) if of.pictures]
    return sum(of.pictures * abs(of.accuracy - of.confidence) for of in filled) / len(labels)
