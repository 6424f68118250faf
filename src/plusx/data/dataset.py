"""A dataset as training sees it: all pictures in memory, with a validation split on request."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from plusx.data.feed import Feed, MemoryFeed
from plusx.data.records import Images, Labels
from plusx.errors import UserError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures (N, H, W, 3), uint8, and labels (N,), int64.

    Validation is None until `hold_out`, unless the user's folder has its own. `record` says what was read
    from a user's folder; it is empty for CIFAR-10 and the sample. Where the training pictures are too many
    to be held, `stream` brings them and `train_images` is empty.
    """

    name: str
    classes: tuple[str, ...]
    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    validation_images: Images | None = None
    validation_labels: Labels | None = None
    record: dict[str, Any] = field(default_factory=dict)
    stream: Feed | None = None

    def feed(self, device: torch.device) -> Feed:
        """The training pictures, minibatch by minibatch; where they are held in memory, on the device."""
        if self.stream is not None:
            return self.stream
        images, labels = (torch.from_numpy(part) for part in (self.train_images, self.train_labels))
        return MemoryFeed(images.to(device), labels.to(device))

    def hold_out(self, count: int, seed: int) -> "Dataset":
        """Return the dataset with `count` of the train pictures moved to validation.

        Every class gives its share (give or take one), chosen by the seed; those that stay keep their
        order. Raises `UserError` unless 0 < count < number of train pictures, and if there are validation
        pictures already.

        >>> from plusx.data import load
        >>> held = load("sample").hold_out(100, seed=0)
        >>> len(held.train_labels), np.bincount(held.validation_labels).tolist()
        (700, [10, 10, 10, 10, 10, 10, 10, 10, 10, 10])
        """
        if self.stream is not None:
            raise UserError(
                "data.validation holds out pictures that are in memory; with shards, name pictures to choose "
                "settings by as --set data.test=SHARDS"
            )
        if self.validation_images is not None:
            raise UserError(
                "data.validation would hold out training pictures, but the folder has validation pictures of "
                "its own, in val/; leave the setting out"
            )
        total = len(self.train_labels)
        if not 0 < count < total:
            raise UserError(f"can't hold out {count} of {total} train pictures: choose 1 to {total - 1}")
        shuffled = np.random.default_rng(seed).permutation(total)
        by_class = shuffled[np.argsort(self.train_labels[shuffled], kind="stable")]
        # Evenly spaced places in a row sorted by class: each class is met in proportion to its length.
        places = np.arange(count) * total // count
        held = np.zeros(total, bool)
        held[by_class[places]] = True
        return replace(
            self,
            train_images=self.train_images[~held],
            train_labels=self.train_labels[~held],
            validation_images=self.train_images[held],
            validation_labels=self.train_labels[held],
        )
