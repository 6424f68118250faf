"""What a network's answers to a test set are worth: every figure of `plusx evaluate`, for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np

from plusx.data.corruptions import STRENGTHS
from plusx.inference import score
from plusx.report.intervals import Interval, wilson_interval
from plusx.report.measures import Bin, ClassMeasures, by_class, calibration_error, reliability, top
from plusx.report.summary import Summary, summarise


@dataclass(frozen=True)
class Evaluation:
    """The figures of one network on one test set; shares are 0…1."""

    network: str
    """As the user named it."""
    data: str
    summary: Summary
    loss: float
    """Mean cross-entropy in nats."""
    accuracy_with_views: float | None
    """Of answers averaged over test-time views; None if not measured."""
    top5: float | None
    """None where there are five classes or fewer."""
    calibration_error: float
    reliability: list[Bin]
    measures: Mapping[str, ClassMeasures]
    """Of each class that has pictures."""
    corruptions: Mapping[str, Sequence[float]] | None
    """Accuracy by strength for each kind of corruption; None if not measured."""
    paths: Sequence[str] | None
    """The test pictures' files in their order, where they are a user's folder."""
    remarks: Sequence[str]
    """What the reader should know."""

    @property
    def accuracy(self) -> float:
        """Share of the test pictures named right."""
        return self.summary.correct / self.summary.total

    @property
    def interval(self) -> Interval:
        """Its 95 % interval."""
        return wilson_interval(self.summary.correct, self.summary.total)

    @property
    def accuracy_corrupted(self) -> float | None:
        """The mean over kinds and strengths."""
        return None if self.corruptions is None else float(np.mean([*self.corruptions.values()]))


def evaluate_answers(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    pictures: np.ndarray,
    *,
    network: str,
    data: str,
    with_views: np.ndarray | None = None,
    corruptions: Mapping[str, Sequence[float]] | None = None,
    paths: Sequence[str] | None = None,
    remarks: Sequence[str] = (),
) -> Evaluation:
    """Measure answers against the truth.

    Args:
        labels: true classes, int64 (N,).
        probabilities: the network's answers, float32 (N, classes).
        classes: a name for each column.
        pictures: uint8 (N, H, W, 3).
        with_views: answers averaged over test-time views, if there are any.
        network, data, corruptions, paths, remarks: as in `Evaluation`.

    Raises:
        ValueError: the arrays don't fit each other.

    >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2]], np.float32)
    >>> pictures = np.zeros((2, 8, 8, 3), np.uint8)
    >>> of = evaluate_answers(np.array([0, 1]), probabilities, "ab", pictures, network="run", data="pets")
    >>> of.accuracy, round(of.calibration_error, 2)
    (0.5, 0.45)
    """
    summary = summarise(pictures, labels, probabilities, classes)
    measures = zip(summary.classes, by_class(summary.confusion), strict=True)
    return Evaluation(
        network=network,
        data=data,
        summary=summary,
        loss=score(probabilities, labels)[0],
        accuracy_with_views=None if with_views is None else score(with_views, labels)[1],
        top5=top(labels, probabilities, 5) if len(classes) > 5 else None,
        calibration_error=calibration_error(labels, probabilities),
        reliability=reliability(labels, probabilities),
        measures={name: of for name, of in measures if of.pictures},
        corruptions=corruptions,
        paths=paths,
        remarks=remarks,
    )


def to_json(of: Evaluation) -> dict[str, Any]:
    """All of it as `plusx evaluate --json` prints it; docs/own-pictures.md explains the keys."""
    return {
        "data": of.data,
        "pictures": of.summary.total,
        "test_loss": of.loss,
        "test_accuracy": of.accuracy,
        "test_accuracy_interval": of.interval,
        "test_accuracy_tta": of.accuracy_with_views,
        "top5_accuracy": of.top5,
        "calibration_error": of.calibration_error,
        "by_class": {name: measures.recall for name, measures in of.measures.items()},
        "classes": {name: measures._asdict() for name, measures in of.measures.items()},
        "confusion": {"classes": of.summary.classes, "counts": of.summary.confusion.tolist()},
        "reliability": [_without_nan(filled._asdict()) for filled in of.reliability],
        "mistakes": [
            {
                "index": mistake.index,
                "picture": of.paths[mistake.index] if of.paths else None,
                "predicted": mistake.predicted,
                "true": mistake.true,
                "confidence": mistake.confidence,
            }
            for mistake in of.summary.mistakes
        ],
        "corruptions": of.corruptions
        and {
            kind: {"strengths": STRENGTHS[kind], "accuracies": accuracies}
            for kind, accuracies in of.corruptions.items()
        },
        "test_accuracy_corrupted": of.accuracy_corrupted,
        "remarks": of.remarks,
    }


def _without_nan(values: dict[str, float]) -> dict[str, float | None]:
    """JSON has no NaN: the means of an empty bin are null."""
    return {key: None if isnan(value) else value for key, value in values.items()}
