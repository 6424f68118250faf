"""A trained network and its answers: `plusx.load("run").predict("cat.jpg")`, and what they are worth."""

from plusx.inference.classifier import Answer, Classifier, load
from plusx.inference.predict import doubt_below, normalise, predict, score

__all__ = ["Answer", "Classifier", "doubt_below", "load", "normalise", "predict", "score"]
