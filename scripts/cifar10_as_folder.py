"""Write some of CIFAR-10 as PNG files, a folder a class, with a few broken ones mixed in: to try things on.

python scripts/cifar10_as_folder.py pictures --each 1000 --classes cat dog horse
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from plusx import data


def main(target: Path, each: int, classes: list[str], skip: int) -> None:
    """Write `each` pictures of every class, after the first `skip` of it."""
    images, labels = data.cifar10("train")
    for name in classes:
        folder = target / name
        folder.mkdir(parents=True)
        for number in np.flatnonzero(labels == data.CLASSES.index(name))[skip : skip + each].tolist():
            Image.fromarray(images[number]).save(folder / f"{number:05d}.png")
    first, second, *_ = (sorted((target / name).iterdir()) for name in classes)
    (target / classes[0] / "cut-off.png").write_bytes(first[0].read_bytes()[:500])
    (target / classes[0] / "empty.jpg").write_bytes(b"")
    (target / classes[1] / "notes.txt").write_text("these were taken last summer\n")
    (target / classes[1] / "again.png").write_bytes(second[0].read_bytes())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path)
    parser.add_argument("--each", type=int, default=1000, help="pictures of a class")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many of each class")
    parser.add_argument("--classes", nargs="+", default=data.CLASSES, choices=data.CLASSES, metavar="CLASS")
    chosen = parser.parse_args()
    if chosen.target.exists():
        parser.error(f"{chosen.target} exists; name another folder")
    if len(chosen.classes) < 2:
        parser.error("--classes takes two or more")
    main(**vars(chosen))
