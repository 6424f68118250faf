"""The minibatches of an epoch as the network sees them: chosen, augmented, normalised, reduced."""

from collections.abc import Iterator

import torch
from torch import Tensor

from plusx.data import Augmentation, Feed, shrink
from plusx.inference import normalise
from plusx.models import Card
from plusx.train.plan import Plan
from plusx.train.processes import Processes
from plusx.train.recipe import Data


class Minibatches:
    """One process's minibatches, a pure function of seed, epoch and step.

    Args:
        feed: the training pictures.
        plan: the steps of the run.
        data: the recipe's table.
        card: how pictures are normalised.
        device: where the network is.
        processes: those that share each step.
    """

    def __init__(
        self,
        feed: Feed,
        plan: Plan,
        data: Data,
        card: Card,
        device: torch.device,
        processes: Processes,
    ) -> None:
        """Keep them."""
        self.feed, self.plan, self.device, self.processes = feed, plan, device, processes
        self.augment = Augmentation(
            data.mirror, data.crop, data.cutout, data.light, data.resized_crop, data.policy
        )
        self.mean, self.std = (
            torch.tensor(v, dtype=torch.float32, device=device) for v in (card.mean, card.std)
        )

    def sample(self, count: int) -> Tensor:
        """Some pictures at their full size, not augmented, the same ones every time."""
        return normalise(self.feed.sample(count).to(self.device), self.mean, self.std)

    def epoch(self, epoch: int, first: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The steps of an epoch from `first` on.

        Yields:
            Pictures (B, C, side, side) in float32 and labels (B,), on the device.
        """
        plan, seed = self.plan, self.plan.training.seed
        draws = self.augment.draw(plan.pictures, plan.size, plan.size, seed=seed, epoch=epoch).to(self.device)
        side = plan.side(epoch)
        for batch in self.feed.epoch(
            seed=seed,
            epoch=epoch,
            steps=plan.steps_per_epoch,
            first=first,
            process=self.processes.number,
            processes=self.processes.count,
        ):
            drawn = draws[batch.places.to(self.device)]
            pictures = self.augment.change(batch.pictures.to(self.device), drawn)
            pictures = self.augment(normalise(pictures, self.mean, self.std), drawn)
            yield (
                pictures if side == plan.size else shrink(pictures, side),
                batch.labels.to(self.device),
            )
