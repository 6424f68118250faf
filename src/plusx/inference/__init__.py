"""A trained network and its answers: `plusx.load("run").predict("cat.jpg")`, and what they are worth."""

from plusx.inference.classifier import Answer, Classifier, load
from plusx.inference.predict import VIEWS, doubt_below, normalise, predict, score
from plusx.inference.robustness import accuracy_under_corruptions

__all__ = [
    "VIEWS",
    "Answer",
    "Classifier",
    "accuracy_under_corruptions",
    "doubt_below",
    "load",
    "normalise",
    "predict",
    "score",
]
