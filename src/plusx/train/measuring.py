"""Measuring the network of a run on its held-out and its test pictures, each process a share of them."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from plusx.data import Dataset
from plusx.inference import predict, score
from plusx.models import Card
from plusx.train.processes import Processes
from plusx.train.recipe import Evaluation


class Scores(NamedTuple):
    """(Mean cross-entropy in nats, accuracy 0…1) on each set; None where it was not looked at."""

    validation: tuple[float, float] | None
    test: tuple[float, float] | None
    test_rows: Tensor | None
    """The probabilities (N, classes) that the test's are of."""


@dataclass(frozen=True, eq=False)
class Measure:
    """How the networks of one run are measured.

    Attributes:
        dataset: the pictures.
        card: how to feed them to the network.
        evaluation: the recipe's table.
        device: where it is computed.
        precision: what products are computed in.
        processes: those that share the work; all of them have to ask for the same.
    """

    dataset: Dataset
    card: Card
    evaluation: Evaluation
    device: torch.device
    precision: torch.dtype
    processes: Processes

    def scores(self, network: nn.Module, epoch: int, last: bool) -> Scores:
        """On the held-out pictures; on the test set if there are none, or this (from 1) is the last epoch.

        On none of them after an epoch that `evaluation.every` passes over.
        """
        dataset = self.dataset
        validation = test = rows = None
        if not last and epoch % self.evaluation.every:
            return Scores(validation, test, rows)
        if dataset.validation_images is not None and dataset.validation_labels is not None:
            validation = score(
                self.probabilities(network, dataset.validation_images), dataset.validation_labels
            )
        if validation is None or last:
            rows = self.probabilities(network, dataset.test_images)
            test = score(rows, dataset.test_labels)
        return Scores(validation, test, rows)

    def accuracy_with_views(self, network: nn.Module) -> float | None:
        """On the test set, averaged over the recipe's views of each picture; None if it asks for none."""
        if self.evaluation.views == "none":
            return None
        rows = self.probabilities(network, self.dataset.test_images, self.evaluation.views)
        return score(rows, self.dataset.test_labels)[1]

    def probabilities(self, network: nn.Module, images: np.ndarray, views: str = "none") -> Tensor:
        """Of every class (N, classes), for pictures (N, H, W, 3), in every process."""
        processes = self.processes if len(images) >= self.processes.count else Processes()
        rows = predict(
            network.eval(),
            np.array_split(images, processes.count)[processes.number],
            self.card,
            views=views,
            batch_size=self.evaluation.batch_size,
            device=self.device,
            precision=self.precision,
        )
        return processes.gather(rows)
