"""Shards as a dataset: the training pictures a stream, the test pictures in memory, and a record of both."""

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from plusx.data.dataset import Dataset
from plusx.data.decoding import fitting_size, refuse_too_many, sizes_of
from plusx.data.own_pictures import LOOKED_AT, load_folder
from plusx.data.records import Images, Labels
from plusx.data.shards.feed import ShardFeed
from plusx.data.shards.files import Shard, beside, is_address, is_shards, list_shards
from plusx.errors import UserError
from plusx.text import from_json, is_visible

CLASSES = "classes.txt"
INDEX = "index.json"
MOST_SAMPLES = 10_000_000  # of a shard


def load_shards(
    source: str,
    *,
    test: str = "",
    size: int = 0,
    largest: int = 64,
    test_share: float = 0.2,
    strict: bool = False,
    console: Console | None = None,
) -> Dataset:
    """Look into shards and read the test pictures.

    Args:
        source: the shards, see `list_shards`.
        test: shards or a folder with the test pictures, matched by the names of their classes if there are
            any; the last `test_share` of the shards if empty.
        size: side of the pictures, in pixels; 0 chooses by what is in the first shard, at most `largest`.
        largest: see `size`.
        test_share: 1 makes all shards test pictures.
        strict: let the first sample that can't be used end it.
        console: shows progress; standard error unless given.

    Returns:
        The dataset; its `stream` is a `ShardFeed`, its `record` says what was found.

    Raises:
        UserError: if a shard can't be had or read, there are not enough of them, or memory is short.
    """
    console = console or Console(stderr=True)
    shards = list_shards(source)
    train, tested = (shards, []) if test else _split(shards, test_share, source)
    if is_shards(test):
        tested = list_shards(test)
    classes = _classes(shards[0])
    own = _classes(tested[0]) if test and tested else ()  # names of the test shards, whose numbers they are
    renumber = _by_name(test, own, classes) if own and classes else None
    counts = _counts(shards) if classes and is_address(shards[0].where) else {}

    def feed(some: list[Shard], known: int) -> ShardFeed:
        declared = [counts[shard.name] for shard in some] if counts and {*some} <= {*shards} else None
        return ShardFeed(some, counts=declared, classes=known, size=size, strict=strict, console=console)

    if not size:
        size = fitting_size(_sizes(ShardFeed(shards[:1])), largest)
    stream = feed(train, len(classes)) if train else None
    held = feed(tested, len(classes if renumber is None else own)) if tested else None
    if not classes:
        classes = _numbers(np.concatenate([_labels(part) for part in (stream, held) if part]), source)
    if held is not None:
        refuse_too_many(held.pictures, size, "or fewer test pictures: --set data.test_share=0.05")
        test_images, test_labels = held.read(np.arange(held.pictures))
        test_labels = test_labels if renumber is None else renumber[test_labels]
    else:
        test_images, test_labels = _folder(test, classes, size, strict, console)
    if not len(test_labels):
        raise UserError(f"{source}: none of the test pictures can be used")
    return Dataset(
        name=Path(source).name if not is_address(source) else source.rpartition("/")[2],
        classes=classes,
        train_images=np.empty((0, size, size, 3), np.uint8),
        train_labels=np.empty(0, np.int64),
        test_images=test_images,
        test_labels=test_labels,
        record=_record(source, classes, size, stream, held, test_images, test_labels),
        stream=stream,
    )


def _split(shards: list[Shard], share: float, source: str) -> tuple[list[Shard], list[Shard]]:
    """Training shards, and the last ones for testing."""
    if share >= 1:
        return [], shards
    count = max(1, round(share * len(shards)))
    if count >= len(shards):
        raise UserError(
            f"{source}: {len(shards)} shard can't be both for training and for testing; name test pictures "
            "by --set data.test=SHARDS, or pack smaller shards: plusx data pack --shard-size"
        )
    return shards[:-count], shards[-count:]


def _classes(shard: Shard) -> tuple[str, ...]:
    """The names in classes.txt; none if there is no such file."""
    text = beside(shard, CLASSES)
    if text is None:
        return ()
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if len(names) < 2 or len({*names}) < len(names) or not all(map(is_visible, names)):
        raise UserError(
            f"{CLASSES} beside {shard.where} must name each class once, at least two, a line each"
        )
    return names


def _numbers(labels: Labels, source: str) -> tuple[str, ...]:
    """The class numbers up to the largest there is, as names."""
    largest = int(labels.max(initial=-1))
    if not 1 <= largest < max(len(labels), 2):
        what = "no labels of two classes" if largest < 1 else f"the label {largest:,}, but fewer pictures"
        raise UserError(f"{source}: {what}; name the classes in {CLASSES} beside the shards, a line each")
    return tuple(str(number) for number in range(largest + 1))


def _counts(shards: list[Shard]) -> dict[str, int]:
    """How many samples index.json says the shards have; nothing if it doesn't say it of all of them."""
    text = beside(shards[0], INDEX)
    try:
        counts = {shard.name: from_json(text or "{}")["samples"][shard.name] for shard in shards}
    except (ValueError, KeyError, TypeError):
        return {}
    believable = all(type(count) is int and 0 <= count <= MOST_SAMPLES for count in counts.values())
    return counts if believable else {}


def _sizes(feed: ShardFeed) -> list[tuple[int, int]]:
    """(Width, height) of pictures in the first shard."""
    index = feed.index(0)
    chosen = np.random.default_rng(0).permutation(len(index))[:LOOKED_AT]
    contents = []
    with feed.shards[0].open() as file:
        for row in chosen:
            if int(row) not in index.faults:
                file.seek(int(index.offsets[row]))
                contents.append(BytesIO(file.read(int(index.sizes[row]))))
    return sizes_of(contents)


def _labels(feed: ShardFeed) -> Labels:
    """The class of every sample, −1 where it is unknown."""
    return np.concatenate([feed.index(number).labels for number in range(len(feed.shards))])


def _folder(
    test: str, classes: tuple[str, ...], size: int, strict: bool, console: Console
) -> tuple[Images, Labels]:
    """All pictures of a folder, under the shards' classes."""
    folder = load_folder(Path(test), size=size, test_share=1.0, strict=strict, console=console)
    return folder.test_images, _by_name(test, folder.classes, classes)[folder.test_labels]


def _by_name(test: str, names: tuple[str, ...], classes: tuple[str, ...]) -> Labels:
    """The number among the shards' classes of each name of the test pictures' own, int64 (names,)."""
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise UserError(f"{test} has pictures of {', '.join(unknown)}; the shards know {', '.join(classes)}")
    return np.array([classes.index(name) for name in names], np.int64)


def _record(
    source: str,
    classes: tuple[str, ...],
    size: int,
    stream: ShardFeed | None,
    held: ShardFeed | None,
    test_images: Images,
    test_labels: Labels,
) -> dict[str, Any]:
    """What was found; `content` changes with any shard, and with the test pictures."""
    content = hashlib.sha256(test_images.tobytes())
    content.update(test_labels.tobytes())
    skipped = dict(held.faults) if held else {}
    counts = {}
    if stream is not None:
        local = not any(is_address(shard.where) for shard in stream.shards)
        if local:
            counts["train"] = _by_class(_labels(stream), classes)
        for number, shard in enumerate(stream.shards):
            content.update(f"{shard.name} {shard.stamp or stream.index(number).digest}\n".encode())
            for name, reason in stream.index(number).faults.values() if local else ():
                skipped[f"{shard.name}/{name}"] = reason
    counts["test"] = _by_class(test_labels, classes)
    remarks = []
    if skipped:
        name, reason = next(iter(skipped.items()))
        remarks.append(f"{len(skipped):,} samples can't be used, first {name}: {reason}")
    untaught = [name for name, count in counts.get("train", {}).items() if not count]
    if untaught:
        remarks.append(f"no training picture of {', '.join(untaught)}")
    return {
        "folder": source,
        "size": size,
        "classes": list(classes),
        "samples": {"train": stream.pictures if stream else 0, "test": len(test_labels)},
        "counts": counts,
        "remarks": remarks,
        "skipped": skipped,
        "shards": [shard.where for shard in stream.shards] if stream else [],
        "content": content.hexdigest(),
    }


def _by_class(labels: Labels, classes: tuple[str, ...]) -> dict[str, int]:
    return {name: int((labels == number).sum()) for number, name in enumerate(classes)}
