"""A dataset as training sees it: all pictures in memory, with a validation split on request."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from plusx.data.cache import fetch, join
from plusx.data.embedded import sample
from plusx.data.layouts import LOOKED_FOR, Batch, survey
from plusx.data.records import BATCHES, CLASSES, Images, Labels
from plusx.errors import UserError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures (N, H, W, 3), uint8, and labels (N,), int64; validation is None until `hold_out`."""

    name: str
    classes: tuple[str, ...]
    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    validation_images: Images | None = None
    validation_labels: Labels | None = None

    def hold_out(self, count: int, seed: int) -> "Dataset":
        """Return the dataset with `count` of the train pictures moved to validation.

        Every class gives its share (give or take one), chosen by the seed; those that stay keep their
        order. Raises `UserError` unless 0 < count < number of train pictures.

        >>> held = load("sample").hold_out(100, seed=0)
        >>> len(held.train_labels), np.bincount(held.validation_labels).tolist()
        (700, [10, 10, 10, 10, 10, 10, 10, 10, 10, 10])
        """
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


def load(
    source: str,
    root: Path | str | None = None,
    *,
    console: Console | None = None,
    table: Mapping[str, str] = BATCHES,
) -> Dataset:
    """Load "cifar10" (fetched to `root` if need be), "sample", or a folder that holds CIFAR-10.

    A folder named as the source is only read; `root`, `console` and `table` are as for `fetch`. Raises
    `UserError` if there is no CIFAR-10 in the folder, or a damaged one.
    """
    if source == "sample":
        return Dataset("sample", CLASSES, *sample("train"), *sample("test"))
    found = fetch(root, console=console, table=table) if source == "cifar10" else _read(Path(source), table)
    return Dataset("cifar10", CLASSES, *join(found.values(), "train"), *join(found.values(), "test"))


def _read(path: Path, table: Mapping[str, str]) -> dict[str, Batch]:
    found = survey(path, table)
    if not found and not path.exists():
        raise UserError(f"{path}: no such folder; --data takes cifar10, sample or a folder with CIFAR-10")
    if not found:
        raise UserError(
            f"{path}: no CIFAR-10 in it; looked for {LOOKED_FOR} (picture folders come with a later version)"
        )
    for name in table:
        if name not in found:
            raise UserError(f"{path}: {name} is missing; complete it, or use --data cifar10")
        if found[name].fault:
            raise UserError(f"{found[name].where}: {found[name].fault}; bring it anew, or use --data cifar10")
    return found
