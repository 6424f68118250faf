"""A user's own folder of pictures: one folder a class, split by the user or by us.

Either `DIR/class/picture`, or `DIR/train/class/picture` beside `val` and `test`, of which one may be absent.
Nothing in the folder is ever changed, and no link that leads out of it is followed.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from plusx.errors import UserError
from plusx.text import is_visible

SPLITS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
_CLUTTER = ("Thumbs.db", "desktop.ini", "__MACOSX")


@dataclass(frozen=True)
class Found:
    """One file: where it is, the class whose folder it lies in, and the user's split, if there is one."""

    path: Path
    label: int
    split: str | None


@dataclass(frozen=True)
class Listing:
    """A folder's files by class, before any of them is opened.

    `outside` are links that lead out of the folder; they are not followed.
    """

    root: Path
    classes: tuple[str, ...]
    files: tuple[Found, ...]
    empty: tuple[str, ...] = ()
    outside: tuple[Path, ...] = field(default=())


def list_folder(root: Path) -> Listing:
    """Find the classes and files of a folder.

    Hidden files are passed over, folders within a class belong to it, and a class without any file is left
    out and named in `empty`. Classes are in alphabetical order, those of all splits together.

    Raises:
        UserError: if there is no such folder, fewer than two classes have files in them, or a class has a
            name that can't be shown.
    """
    if not root.is_dir():
        what = "is a file, not a folder of pictures" if root.exists() else "no such folder"
        raise UserError(f"{root}: {what}; give a folder that holds a folder for each class")
    found: list[tuple[Path, str, str | None]] = []
    outside: set[Path] = set()
    names: set[str] = set()
    try:
        for split, part in _parts(root, outside).items():
            for folder in _visible(part, root, outside):
                if folder.is_dir():
                    names.add(folder.name)
                    found += [(path, folder.name, split) for path in _files(folder, root, outside)]
    except OSError as error:
        raise UserError(f"{error.filename or root}: {error.strerror or error}") from error
    for name in sorted(names):
        if not is_visible(name):
            raise UserError(f"{root}: {name!r} can't be the name of a class; rename that folder")
    classes = tuple(sorted({name for _, name, _ in found}))
    if len(classes) < 2:
        have = f"only the class {classes[0]!r}" if classes else "neither CIFAR-10 nor folders with pictures"
        out = f" ({min(outside)} leads out of it and is not followed)" if outside else ""
        raise UserError(
            f"{root}: {have}{out}; make a folder for each class, at least two: {root}/cat, {root}/dog"
        )
    files = tuple(Found(path, classes.index(name), split) for path, name, split in found)
    return Listing(root, classes, files, tuple(sorted(names - {*classes})), tuple(sorted(outside)))


def _parts(root: Path, outside: set[Path]) -> dict[str | None, Path]:
    """The user's splits by our names, or the folder itself as one part without a name."""
    parts: dict[str | None, Path] = {}
    present = {path.name: path for path in _visible(root, root, outside) if path.is_dir()}
    for split, names in SPLITS.items():
        for name in names:
            if name in present:
                parts.setdefault(split, present[name])
    if "train" not in parts:
        return {None: root}
    return parts if len(parts) > 1 else {None: parts["train"]}


def _visible(folder: Path, root: Path, outside: set[Path]) -> list[Path]:
    """What lies in a folder, in alphabetical order; links that lead out of `root` go to `outside` instead."""
    inside = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _CLUTTER:
            continue
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
            outside.add(path)
        else:
            inside.append(path)
    return inside


def _files(folder: Path, root: Path, outside: set[Path]) -> Iterator[Path]:
    """Every file below a folder, however deep; links to folders are not gone into, so there is no circle."""
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if path == folder or (path.is_dir() and not path.is_symlink()):
            waiting += reversed(_visible(path, root, outside))
        else:
            yield path


def splits_of(
    files: Sequence[Found], contents: Callable[[], list[str]], share: float, seed: int
) -> np.ndarray:
    """The split of each file: "train", "validation" or "test".

    The user's own are kept; with `val` alone it serves as the test set. Without them see `draw_test`.

    Args:
        files: of one listing.
        contents: gives a digest of each, if they have to be drawn.
        share: see `draw_test`.
        seed: see `draw_test`.

    Returns:
        str (N,).

    >>> own = [Found(Path(f"{split}/cat/1.png"), 0, split) for split in ("train", "validation")]
    >>> splits_of(own, list, share=0.2, seed=0).tolist()
    ['train', 'test']
    """
    own = np.array([found.split or "" for found in files])
    if (own == "").all():
        labels = np.array([found.label for found in files], np.int64)
        return np.where(draw_test(labels, contents(), share, seed), "test", "train")
    return own if "test" in own else np.where(own == "validation", "test", own)


def draw_test(labels: np.ndarray, contents: list[str], share: float, seed: int) -> np.ndarray:
    """Choose the test pictures: the same share of every class, and never a copy of a training picture.

    Args:
        labels: classes, int (N,).
        contents: a digest of each picture; those with the same one go the same way.
        share: the part of each class's different pictures that is for testing, 0…1; at least one picture
            of a class is, if it has two, and at least one isn't, unless the share is 1.
        seed: chooses which.

    Returns:
        bool (N,), true for test.

    >>> labels = np.repeat([0, 1], 10)
    >>> chosen = draw_test(labels, [str(i) for i in range(20)], share=0.2, seed=0)
    >>> np.bincount(labels[chosen]).tolist()
    [2, 2]
    """
    if share >= 1:
        return np.ones(len(labels), bool)
    generator = np.random.default_rng(seed)
    chosen: set[str] = set()
    decided: set[str] = set()
    for label in np.unique(labels):
        # A picture that lies in two classes is decided on with the first of them.
        own = dict.fromkeys(contents[i] for i in np.flatnonzero(labels == label))
        different = sorted(content for content in own if content not in decided)
        decided.update(different)
        count = min(max(round(share * len(different)), 1), len(different) - 1) if different else 0
        chosen.update(different[i] for i in generator.permutation(len(different))[:count])
    return np.array([content in chosen for content in contents], dtype=bool)
