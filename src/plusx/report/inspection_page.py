"""The page of `plusx data inspect`: what is in a folder of pictures, before anything is trained on it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from plusx.data import Dataset, sizes_of
from plusx.report.html import fill, picture_uri

SHOWN = 10  # pictures of each class
GAP = 4  # pixels between them


def size_range(dataset: Dataset) -> str:
    """The sizes of a folder's pictures, in words: the most usual one, the smallest and the largest."""
    root, record = Path(dataset.record["folder"]), dataset.record
    sizes = sizes_of([root / name for names in record["split"].values() for name in names])
    if len(set(sizes)) == 1:
        return "{}×{}".format(*sizes[0])
    usual = max(set(sizes), key=sizes.count)
    least, most = (pick(sizes, key=lambda size: size[0] * size[1]) for pick in (min, max))
    return "{}×{} mostly, {}×{} to {}×{}".format(*usual, *least, *most)


def render_inspection(dataset: Dataset, sizes: str) -> str:
    """One page that loads nothing: counts, sizes, what is wrong, and some pictures of every class.

    Args:
        dataset: as `plusx.data.load_folder` made it.
        sizes: see `size_range`.
    """
    record = dataset.record
    # In this order: a class may have pictures in one split alone.
    images, labels = [dataset.train_images, dataset.test_images], [dataset.train_labels, dataset.test_labels]
    if dataset.validation_images is not None and dataset.validation_labels is not None:
        images.append(dataset.validation_images)
        labels.append(dataset.validation_labels)
    every, label_of = np.concatenate(images), np.concatenate(labels)
    return fill(
        "inspection.html.jinja",
        record=record,
        sizes=sizes,
        total=sum(sum(counts.values()) for counts in record["counts"].values()),
        splits=list(record["counts"]),
        strips={
            name: picture_uri(_strip(every[label_of == label][:SHOWN]))
            for label, name in enumerate(dataset.classes)
        },
    )


def _strip(images: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Some pictures side by side, uint8 (H, W, 4): the gaps between them show the page."""
    side = images[0].shape[0]
    strip = np.zeros((side, len(images) * (side + GAP) - GAP, 4), np.uint8)
    for number, image in enumerate(images):
        left = number * (side + GAP)
        strip[:, left : left + side, :3] = image
        strip[:, left : left + side, 3] = 255
    return strip
