"""An ONNX file at work in onnxruntime, and how far it agrees with the network that it was made from."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console

from plusx import ops
from plusx.console import counting
from plusx.errors import optional
from plusx.export.graph import INPUT
from plusx.inference import Classifier, normalise, predict

BATCH = 100


@dataclass(frozen=True)
class Agreement:
    """What a file and its network say of the same pictures.

    Attributes:
        probabilities: the file's, float32 (N, classes).
        original: the network's, float32 (N, classes), in float32 on PyTorch's kernels.
    """

    probabilities: np.ndarray
    original: np.ndarray

    @property
    def largest_difference(self) -> float:
        """Of any probability, 0…1; NaN if the file gives one."""
        return float(np.abs(self.probabilities - self.original).max())

    @property
    def same_answers(self) -> float:
        """Share of the pictures that both give the same name, 0…1."""
        return float((self.probabilities.argmax(1) == self.original.argmax(1)).mean())


def batches(pictures: np.ndarray, classifier: Classifier, uint8: bool) -> Iterator[np.ndarray]:
    """Pictures, uint8 (N, S, S, 3), as the file takes them, a hundred at a time."""
    mean, std = torch.tensor(classifier.card.mean), torch.tensor(classifier.card.std)
    for start in range(0, len(pictures), BATCH):
        part = pictures[start : start + BATCH]
        yield part if uint8 else normalise(torch.from_numpy(part), mean, std).contiguous().numpy()


def compare(content: bytes, classifier: Classifier, pictures: np.ndarray, *, uint8: bool) -> Agreement:
    """Run an ONNX file's content and the network over pictures, uint8 (N, S, S, 3)."""
    runtime = optional("onnxruntime", "export")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    rows: list[np.ndarray] = []
    total, done = len(pictures), 0
    with counting(Console(stderr=True), "pictures in onnxruntime", total) as show:
        for feed in batches(pictures, classifier, uint8):
            rows.append(session.run(None, {INPUT: feed})[0])
            done += len(feed)
            show(done)
    with ops.engine("native"), counting(Console(stderr=True), "pictures in the network", total) as show:
        original = predict(classifier.network, pictures, classifier.card, batch_size=BATCH, show=show)
    return Agreement(np.concatenate(rows), original.numpy())
