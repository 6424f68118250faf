"""The pictures that a trained network is measured on, for the commands that measure one."""

from pathlib import Path

import numpy as np
from rich.console import Console

from plusx import data
from plusx.errors import UserError
from plusx.models import Card
from plusx.text import from_json


def dataset_of(run_or_weights: Path, source: str | None, data_dir: Path | None, card: Card) -> data.Dataset:
    """The pictures of `source`: for the folder that the run was trained on, split as then; else all test.

    Args:
        run_or_weights: its `recipe.toml`, if it has one, says what it was trained on.
        source: "cifar10", "sample", a folder or shards; None for what the run was trained on.
        data_dir: as in `plusx.data.fetch`.
        card: of the network.
    """
    from plusx.train import load_recipe

    written = run_or_weights / "recipe.toml"
    recipe = load_recipe(str(written)) if written.exists() else load_recipe("fast")
    chosen = source or recipe.data.source
    its_own = Path(chosen).resolve() == Path(recipe.data.source).resolve()
    return data.load(
        chosen,
        data_dir,
        test=recipe.data.test if its_own else "",
        size=card.input_size,
        test_share=recipe.data.test_share if its_own else 1.0,
        seed=recipe.training.seed,
        console=Console(stderr=True),
    )


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
    record, written = dataset.record, run_or_weights / "data.json"
    if not record or not written.exists():
        return []
    try:
        trained_on = from_json(written.read_text(encoding="utf-8"))
        folder, content = trained_on["folder"], trained_on["content"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{written} can't be read ({error}); use another copy of the run") from error
    if folder != record["folder"] or content == record["content"]:
        return []
    return [
        f"the pictures in {record['folder']} changed since the run was trained, so that some of these may "
        "have been trained on: the accuracy may flatter"
    ]
