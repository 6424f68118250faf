"""How well a network holds on pictures that something happened to."""

import numpy as np
from rich.console import Console

from plusx.console import counting
from plusx.data.corruptions import STRENGTHS, corrupt
from plusx.inference.classifier import Classifier

BATCH = 1000


def accuracy_under_corruptions(
    classifier: Classifier,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    seed: int = 0,
    console: Console | None = None,
) -> dict[str, list[float]]:
    """Accuracy on corrupted pictures, for each kind in `plusx.data.corruptions` and each of its strengths.

    They are corrupted as the network gets to see them, after they were reduced to its input size.

    Args:
        classifier: the trained network.
        images: uint8 (N, H, W, 3), N ≥ 1.
        labels: classes by the network's numbers, int (N,).
        seed: of the noise; each kind and strength begins with it anew.
        console: shows progress, where it is a terminal; standard error unless given.

    Returns:
        Five accuracies, 0…1, for each kind, the weakest strength first.

    >>> from plusx.data import sample
    >>> from plusx.inference import load
    >>> images, labels = sample("test")
    >>> accuracies = accuracy_under_corruptions(load("cifar10"), images[:20], labels[:20])
    >>> list(accuracies)
    ['gaussian_noise', 'gaussian_blur', 'contrast', 'jpeg_compression']
    """
    images = classifier.read(images)
    total = len(images) * sum(map(len, STRENGTHS.values()))
    accuracies: dict[str, list[float]] = {kind: [] for kind in STRENGTHS}
    done = 0
    with counting(console or Console(stderr=True), "corrupted pictures", total) as show:
        for kind, constants in STRENGTHS.items():
            for strength in range(1, len(constants) + 1):
                generator, right = np.random.default_rng(seed), 0
                for start in range(0, len(images), BATCH):
                    batch = corrupt(images[start : start + BATCH], kind, strength, generator)
                    answers = classifier.probabilities(batch).argmax(1)
                    right += int((answers == labels[start : start + BATCH]).sum())
                    done += len(batch)
                    show(done)
                accuracies[kind].append(right / len(images))
    return accuracies
