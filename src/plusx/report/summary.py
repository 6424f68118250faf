"""The figures behind the pictures: confusion, accuracy of each class, worst mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MISTAKES_SHOWN = 25


@dataclass(frozen=True)
class Mistake:
    """A picture that the network named wrong."""

    index: int
    """Position in the test set."""
    predicted: str
    true: str
    confidence: float
    """Probability that the network gave to its wrong answer, in 0…1."""


@dataclass(frozen=True)
class ClassRow:
    """How one class fared."""

    name: str
    total: int
    correct: int
    confused_with: str | None
    """The wrong answer given most often, None if there was none."""
    confused: int
    """How often it was given."""

    @property
    def accuracy(self) -> float | None:
        """Share of the class's pictures named right, None for a class without pictures."""
        return self.correct / self.total if self.total else None


@dataclass(frozen=True)
class Summary:
    """What the network made of the test set."""

    classes: tuple[str, ...]
    confusion: np.ndarray
    """int64 (classes, classes): rows are true classes, columns predicted ones."""
    mistakes: tuple[Mistake, ...]
    """The most confident wrong answers, surest first."""

    @property
    def total(self) -> int:
        """Pictures in the test set."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """Pictures named right."""
        return int(self.confusion.trace())

    @property
    def class_rows(self) -> tuple[ClassRow, ...]:
        """One row for each class, in the order of `classes`."""
        return tuple(self._class_row(index) for index in range(len(self.classes)))

    def _class_row(self, index: int) -> ClassRow:
        counts = self.confusion[index]
        wrong = counts.copy()
        wrong[index] = 0
        worst = int(wrong.argmax())
        confused_with = self.classes[worst] if wrong[worst] else None
        return ClassRow(
            self.classes[index], int(counts.sum()), int(counts[index]), confused_with, int(wrong[worst])
        )


def summarise(
    pictures: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> Summary:
    """Compare the answers with the truth; shapes as in `plusx.report.write_report`.

    Raises:
        ValueError: the arrays don't fit each other.

    >>> pictures = np.zeros((2, 32, 32, 3), np.uint8)
    >>> probabilities = np.array([[0.9, 0.1], [0.7, 0.3]], np.float32)
    >>> found = summarise(pictures, np.array([0, 1]), probabilities, ["cat", "dog"])
    >>> found.correct, found.mistakes[0].predicted, found.mistakes[0].true
    (1, 'cat', 'dog')
    """
    _check(pictures, labels, probabilities, classes)
    predicted = probabilities.argmax(axis=1)
    mistakes = tuple(
        Mistake(index, classes[predicted[index]], classes[labels[index]], float(probabilities[index].max()))
        for index in most_confident_mistakes(labels, probabilities)[:MISTAKES_SHOWN].tolist()
    )
    return Summary(tuple(classes), confusion_matrix(labels, predicted, len(classes)), mistakes)


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Count each pair (true, predicted): int64 (num_classes, num_classes), rows true, columns predicted.

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    pairs = labels * num_classes + predicted
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def most_confident_mistakes(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Positions of the wrong answers, the surest first; equally sure ones in the order of the test set.

    >>> most_confident_mistakes(np.array([1, 1, 1]), np.array([[0.6, 0.4], [0.2, 0.8], [0.9, 0.1]]))
    array([2, 0])
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(-probabilities.max(axis=1)[wrong], kind="stable")]


def _check(
    pictures: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> None:
    n = len(labels)
    if n == 0:
        raise ValueError("the test set holds no pictures")
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[::3] != (n, 3):
        raise ValueError(f"pictures should be uint8 ({n}, H, W, 3), are {pictures.dtype} {pictures.shape}")
    if probabilities.shape != (n, len(classes)):
        raise ValueError(f"probabilities should be ({n}, {len(classes)}), are {probabilities.shape}")
    if not np.isfinite(probabilities).all():
        raise ValueError("probabilities hold NaN or infinity")
    if labels.ndim != 1 or labels.min() < 0 or labels.max() >= len(classes):
        raise ValueError(
            f"labels should be (N,) in 0…{len(classes) - 1}, "
            f"are {labels.shape} in {labels.min()}…{labels.max()}"
        )
