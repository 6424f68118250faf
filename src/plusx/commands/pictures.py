"""The pictures that a trained network is measured on, for the commands that measure one."""

from pathlib import Path

import numpy as np
from rich.console import Console

from plusx import data
from plusx.errors import UserError
from plusx.models import Card
from plusx.train import alike, load_recipe, record_of


def dataset_of(run_or_weights: Path, source: str | None, data_dir: Path | None, card: Card) -> data.Dataset:
    """The pictures of `source`: those that the run was trained on, split as then; others are all for testing.

    Args:
        run_or_weights: a run, or weights; what is in their directory says what the run was trained on.
        source: "cifar10", "sample", a folder or shards; None for what the run was trained on.
        data_dir: as in `plusx.data.fetch`.
        card: of the network.

    Raises:
        UserError: if the run's record of its pictures is damaged, they are no longer there, or as in
            `plusx.data.load`.
    """
    run = _run_of(run_or_weights)
    recipe = load_recipe(str(run / "recipe.toml") if run else "fast")
    trained_on = record_of(run) if run else {}
    # The recipe has a folder as it was typed, which from elsewhere leads elsewhere.
    folder = Path(trained_on.get("folder", recipe.data.source))
    own = str(folder) if folder.exists() else recipe.data.source
    if source is None and "split" in trained_on and not Path(own).exists():
        raise UserError(f"{folder}: no such folder; if the pictures were moved, say where: --data NEWPLACE")
    chosen = own if source is None else source

    def load(as_then: bool) -> data.Dataset:
        return data.load(
            chosen,
            data_dir,
            test=recipe.data.test if as_then else "",
            size=card.input_size,
            test_share=recipe.data.test_share if as_then else 1.0,
            seed=recipe.training.seed,
            console=Console(stderr=True),
        )

    if Path(chosen).resolve() == Path(own).resolve():
        return load(as_then=True)
    others = load(as_then=False)
    a_copy = bool(others.record) and others.record["content"] == trained_on.get("content")
    return load(as_then=True) if a_copy else others


def _run_of(run_or_weights: Path) -> Path | None:
    """The run's directory, if this is one, or weights in one."""
    folder = run_or_weights if run_or_weights.is_dir() else run_or_weights.parent
    return folder if run_or_weights.exists() and (folder / "recipe.toml").exists() else None


def labels_of(run_or_weights: Path, dataset: data.Dataset, card: Card) -> np.ndarray:
    """The test pictures' classes by the network's numbers, int64 (N,).

    Raises:
        UserError: if the network does not know one of the classes.
    """
    unknown = [name for name in dataset.classes if name not in card.classes]
    if unknown:
        raise UserError(f"{run_or_weights} knows {', '.join(card.classes)}, but not {', '.join(unknown)}")
    return np.array([card.classes.index(name) for name in dataset.classes])[dataset.test_labels]


def remarks_on(run_or_weights: Path, dataset: data.Dataset) -> list[str]:
    """What the reader of figures on these pictures should know, a line each.

    Raises:
        UserError: if the run's record of its pictures is damaged.
    """
    run, record = _run_of(run_or_weights), dataset.record
    trained_on = record_of(run) if run else {}
    if not record or not trained_on or alike(trained_on, record):
        return []
    if trained_on["folder"] != record["folder"] and trained_on["content"] != record["content"]:
        return []  # other pictures
    return [
        f"the pictures in {record['folder']} changed since the run was trained, so that some of these may "
        "have been trained on: the accuracy may flatter"
    ]
