"""`load`: from what the user wrote after --data to a dataset."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from plusx.data.cache import fetch, join
from plusx.data.dataset import Dataset
from plusx.data.embedded import sample
from plusx.data.layouts import LOOKED_FOR, Batch, survey
from plusx.data.own_pictures import load_folder
from plusx.data.records import BATCHES, CLASSES
from plusx.data.shards import is_shards, load_shards, notation
from plusx.errors import UserError

ARCHIVES = (".tar.gz", ".tgz")  # what ends so is meant as one; others are if they hold CIFAR-10
TAKES = "cifar10, sample or a folder of pictures"


def load(
    source: str,
    root: Path | str | None = None,
    *,
    test: str = "",
    size: int = 0,
    largest: int = 64,
    test_share: float = 0.2,
    seed: int = 0,
    strict: bool = False,
    console: Console | None = None,
    table: Mapping[str, str] = BATCHES,
) -> Dataset:
    """Load "cifar10" (fetched to `root` if need be), "sample", a folder with CIFAR-10 or pictures, or shards.

    A folder named as the source is only read. `root`, `console` and `table` are as for `fetch`; `size` to
    `strict` are for a folder of pictures or for shards, `test` for shards: see `load_folder`, `load_shards`.

    Raises:
        UserError: if the folder is not there, has neither CIFAR-10 nor pictures in it, or a damaged CIFAR-10;
            if a shard can't be had or read; if `test` is given for anything but shards.
    """
    if is_shards(source):
        return load_shards(
            source,
            test=test,
            size=size,
            largest=largest,
            test_share=test_share,
            strict=strict,
            console=console,
        )
    if test:
        raise UserError("data.test is for shards; a folder has its test pictures in test/ beside train/")
    if source == "sample":
        return Dataset("sample", CLASSES, *sample("train"), *sample("test"))
    if source == "cifar10":
        return _cifar10(fetch(root, console=console, table=table))
    if not source:  # as a path, it would be the current folder
        raise UserError(f"--data is empty, perhaps from a variable that isn't set; it takes {TAKES}")
    path = Path(source)
    found = survey(path, table)
    if path.is_file() and not source.endswith(ARCHIVES) and not any(of.content for of in found.values()):
        raise UserError(f"{path}: is a file, not a folder of pictures; --data takes {TAKES}")
    if found:
        return _cifar10(_whole(path, found, table))
    if path.is_file():
        raise UserError(f"{path}: no CIFAR-10 in it; looked for {LOOKED_FOR}")
    if not path.exists():
        raise UserError(f"{path}: no such folder; --data takes {TAKES}")
    _refuse_shards(path)
    return load_folder(
        path,
        size=size,
        largest=largest,
        test_share=test_share,
        seed=seed,
        strict=strict,
        console=console,
    )


def _refuse_shards(folder: Path) -> None:
    """Say how shards are named, to whom names the folder that they lie in."""
    names = sorted(path.name for path in folder.glob("train-*[0-9].tar"))
    if names and not any(path.is_dir() for path in folder.iterdir()):
        raise UserError(f"{folder}: a folder of shards; name these: --data '{folder / notation(names)}'")


def _cifar10(batches: Mapping[str, Batch]) -> Dataset:
    return Dataset("cifar10", CLASSES, *join(batches.values(), "train"), *join(batches.values(), "test"))


def _whole(path: Path, found: dict[str, Batch], table: Mapping[str, str]) -> dict[str, Batch]:
    for name in table:
        if name not in found:
            raise UserError(f"{path}: {name} is missing; complete it, or use --data cifar10")
        if found[name].fault:
            raise UserError(f"{found[name].where}: {found[name].fault}; bring it anew, or use --data cifar10")
    return found
