"""A folder of the user's own pictures as a dataset, with a record of what was read, split and left out."""

import hashlib
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from plusx.data.dataset import Dataset
from plusx.data.decoding import decode, digests, fitting_size, sizes_of
from plusx.data.folder import Found, Listing, list_folder, splits_of
from plusx.errors import UserError

LOOKED_AT = 200  # pictures whose header decides about the size
UNEVEN = 10  # the largest class is so many times as large as the smallest: worth a remark


def load_folder(
    root: Path,
    *,
    size: int = 0,
    largest: int = 64,
    test_share: float = 0.2,
    seed: int = 0,
    strict: bool = False,
    console: Console | None = None,
) -> Dataset:
    """Read a folder of pictures, one folder a class (see `plusx.data.folder`).

    The user's own `train`, `val` and `test` are kept; with `val` alone it serves as the test set. Without
    them a share of each class becomes the test set, chosen by the seed, copies of a picture together.

    Args:
        root: the folder; only ever read.
        size: side of the pictures, in pixels; 0 chooses by what is there, at most `largest`.
        largest: see `size`.
        test_share: part of each class that is for testing, 0…1, where the user has not split.
        seed: chooses them.
        strict: let the first picture that can't be read end it.
        console: shows progress; standard error unless given.

    Returns:
        The dataset. Its `record` says where each picture went, which were skipped and why, and what the user
        should know.

    Raises:
        UserError: if there are not two classes of readable pictures, a split has none, or memory is short.
    """
    console = console or Console(stderr=True)
    listing = list_folder(root)
    paths = [found.path for found in listing.files]
    if not size:
        generator = np.random.default_rng(0)
        looked_at = generator.permutation(len(paths))[:LOOKED_AT]
        size = fitting_size(sizes_of([paths[i] for i in looked_at]), largest)
    images, faults = decode(paths, size, console)
    if strict and faults:
        path, reason = next(iter(faults.items()))
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise UserError(f"{path}: {reason}{more}; mend or remove it, or leave --strict out")
    files = [found for found in listing.files if found.path not in faults]
    listing, files = _without_empty(listing, files, faults)
    labels = np.array([found.label for found in files], np.int64)
    contents = digests(images)
    splits = splits_of(files, lambda: contents, test_share, seed)
    dataset = Dataset(
        name=root.resolve().name,
        classes=listing.classes,
        train_images=images[splits == "train"],
        train_labels=labels[splits == "train"],
        test_images=images[splits == "test"],
        test_labels=labels[splits == "test"],
    )
    if (splits == "validation").any():
        chosen = splits == "validation"
        dataset = replace(dataset, validation_images=images[chosen], validation_labels=labels[chosen])
    for name, count in (("training", len(dataset.train_labels)), ("test", len(dataset.test_labels))):
        if not count and not (name == "training" and test_share >= 1):
            if all(found.split is None for found in files):  # then we drew, and of every class too few
                raise UserError(
                    f"{root}: too few pictures: no class has two different ones, to learn from and to test on"
                )
            raise UserError(f"{root}: no {name} picture in it can be read")
    outside = dict.fromkeys(listing.outside, "a link that leads out of the folder")
    record = _record(listing, files, labels, splits, contents, faults | outside, size)
    return replace(dataset, record=record)


def _without_empty(
    listing: Listing, files: list[Found], faults: dict[Path, str]
) -> tuple[Listing, list[Found]]:
    """Drop the classes of which no picture could be read."""
    kept = sorted({found.label for found in files})
    if len(kept) < 2:
        path, reason = next(iter(faults.items()))
        raise UserError(
            f"{listing.root}: fewer than two classes have pictures that can be read; "
            f"{path.relative_to(listing.root)}: {reason}"
        )
    names = tuple(listing.classes[label] for label in kept)
    lost = tuple(name for name in listing.classes if name not in names)
    renumbered = [replace(found, label=kept.index(found.label)) for found in files]
    return replace(listing, classes=names, empty=tuple(sorted((*listing.empty, *lost)))), renumbered


def _record(
    listing: Listing,
    files: list[Found],
    labels: np.ndarray,
    splits: np.ndarray,
    contents: list[str],
    skipped: dict[Path, str],
    size: int,
) -> dict[str, Any]:
    def name(path: Path) -> str:
        return path.relative_to(listing.root).as_posix()

    # The pictures in their order, each with its class. Not the split, so that a copy of the folder that is
    # read with another split is known; whoever guards a run compares that too.
    content = hashlib.sha256()
    for found, digest in zip(files, contents, strict=True):
        content.update(f"{listing.classes[found.label]} {digest}\n".encode())
    return {
        "folder": str(listing.root.resolve()),
        "size": size,
        "classes": list(listing.classes),
        "counts": {
            split: {
                label: int(((splits == split) & (labels == i)).sum())
                for i, label in enumerate(listing.classes)
            }
            for split in ("train", "validation", "test")
            if (splits == split).any()
        },
        "remarks": _remarks(listing, files, labels, splits, contents, skipped),
        "skipped": {name(path): reason for path, reason in skipped.items()},
        "split": {
            split: [name(found.path) for found, own in zip(files, splits, strict=True) if own == split]
            for split in ("train", "validation", "test")
            if (splits == split).any()
        },
        "content": content.hexdigest(),
    }


def _remarks(
    listing: Listing,
    files: list[Found],
    labels: np.ndarray,
    splits: np.ndarray,
    contents: list[str],
    skipped: dict[Path, str],
) -> list[str]:
    """What the user should know before training begins, a line each."""
    remarks = []
    if listing.empty:
        remarks.append(f"no picture in {', '.join(listing.empty)}: left out")
    if skipped:
        path, reason = next(iter(skipped.items()))
        remarks.append(
            f"{len(skipped)} of {len(files) + len(skipped)} files skipped, first "
            f"{path.relative_to(listing.root)}: {reason}"
        )
    places: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for content, split, label in zip(contents, splits.tolist(), labels.tolist(), strict=True):
        places[content].add((split, label))
    across = sum(len({split for split, _ in found}) > 1 for found in places.values())
    if across:
        remarks.append(f"{_pictures(across)} in more than one split: the test accuracy will flatter")
    twofold = sum(len({label for _, label in found}) > 1 for found in places.values())
    if twofold:
        remarks.append(f"{_pictures(twofold)} in more than one class")
    copies = len(contents) - len(places)
    if copies:
        remarks.append(f"{_pictures(copies)} the copy of another")
    tested = set(labels[splits == "test"].tolist())
    untested = [label for i, label in enumerate(listing.classes) if i not in tested]
    if untested:
        remarks.append(f"no test picture of {', '.join(untested)}: the test accuracy says nothing about that")
    counts = Counter(labels[splits == "train"].tolist())
    untaught = [label for i, label in enumerate(listing.classes) if counts and not counts[i]]
    if untaught:
        remarks.append(f"no training picture of {', '.join(untaught)}")
    elif counts and max(counts.values()) >= UNEVEN * min(counts.values()):
        (most, many), *_, (least, few) = counts.most_common()
        remarks.append(
            f"uneven classes: {many} of {listing.classes[most]}, {few} of {listing.classes[least]}; "
            "look at the accuracy by class"
        )
    return remarks


def _pictures(count: int) -> str:
    return "1 picture is" if count == 1 else f"{count:,} pictures are"
