"""The sample inside the package: 1 000 real pictures of CIFAR-10, for tests and a first try.

Each sheet is a picture one can look at: a row for each class, in the official order, a tile for each picture
(80 a class for training, 20 for testing). `scripts/make_sample.py` made them; PNG loses nothing.
"""

from importlib import resources

import numpy as np
from PIL import Image

from plusx.data.records import CLASSES, SIDE, Images, Labels, Split


def sample(split: Split) -> tuple[Images, Labels]:
    """Return the embedded pictures (N, 32, 32, 3), uint8, and labels (N,), int64, sorted by class.

    N is 800 for "train" and 200 for "test".

    >>> images, labels = sample("test")
    >>> images.shape, np.bincount(labels).tolist()
    ((200, 32, 32, 3), [20, 20, 20, 20, 20, 20, 20, 20, 20, 20])
    """
    if split not in ("train", "test"):
        raise ValueError(f'a split is "train" or "test", not {split!r}')
    with resources.files("plusx.data").joinpath("sample", f"{split}.png").open("rb") as file:
        sheet = np.asarray(Image.open(file).convert("RGB"))
    tiles = sheet.reshape(len(CLASSES), SIDE, -1, SIDE, 3).transpose(0, 2, 1, 3, 4)
    labels = np.repeat(np.arange(len(CLASSES), dtype=np.int64), tiles.shape[1])
    return np.ascontiguousarray(tiles).reshape(-1, SIDE, SIDE, 3), labels
