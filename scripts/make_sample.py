"""Makes the sample inside the package: the first 80 train and 20 test pictures of each class.

    python scripts/make_sample.py

writes src/plusx/data/sample/train.png and test.png, one row of tiles a class.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from plusx.data import CLASSES, cifar10

FOLDER = Path(__file__).parents[1] / "src" / "plusx" / "data" / "sample"

COUNTS: dict[Literal["train", "test"], int] = {"train": 80, "test": 20}

for split, count in COUNTS.items():
    images, labels = cifar10(split)
    rows = [np.concatenate(list(images[labels == label][:count]), axis=1) for label in range(len(CLASSES))]
    path = FOLDER / f"{split}.png"
    Image.fromarray(np.concatenate(rows)).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size} bytes")
