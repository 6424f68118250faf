"""`model_card`: what a network is, how good, how made, how to load it, for whoever gets the file.

Markdown under a YAML header with the fields that the Hugging Face hub reads, from `model_card.md.jinja`.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from plusx.errors import UserError
from plusx.inference import Classifier, score
from plusx.models.weights import WEIGHTS_FILE
from plusx.text import from_json, percent
from plusx.train import load_recipe, record_of
from plusx.train.recipe import Data

CIFAR10 = {"cifar10": 50_000, "sample": 800}  # training pictures; the sample is some of CIFAR-10's


@dataclass(frozen=True)
class Measured:
    """What a network made of a test set.

    Attributes:
        data: the name of the dataset.
        labels: true classes, as numbers of the card's classes, int64 (N,).
        probabilities: the network's, float32 (N, classes).
        with_views: accuracy of six test-time views averaged, 0…1, if it was measured.
        own: whether they are a user's own pictures, whatever they are called.
    """

    data: str
    labels: np.ndarray
    probabilities: np.ndarray
    with_views: float | None = None
    own: bool = False


def model_card(
    name: str,
    classifier: Classifier,
    measured: Measured,
    *,
    run: Path | None = None,
    weights: str = WEIGHTS_FILE,
    licence: str = "unknown",
    remark: str = "",
) -> str:
    """Write the model card of a network.

    Args:
        name: what to call it.
        classifier: the network.
        measured: its answers to a test set; all figures but the run's own are computed from them.
        run: the directory whose `recipe.toml`, `result.json`, `environment.json` and `data.json` say how it
            was made; what is not there is left out.
        weights: what a reader gives to `plusx.load`.
        licence: a name of the hub's list, such as "apache-2.0"; only the author knows it.
        remark: a sentence after the first paragraph.

    Returns:
        The text.

    Raises:
        UserError: if a file of the run is damaged.

    >>> import plusx
    >>> images, labels = plusx.data.sample("test")
    >>> classifier = plusx.load("cifar10")
    >>> measured = Measured("sample", labels, classifier.probabilities(images))
    >>> model_card("small", classifier, measured).splitlines()[:3]
    ['---', 'library_name: plusx', 'license: unknown']
    """
    written = run / "recipe.toml" if run else None
    trained_on = load_recipe(str(written)).data if written and written.exists() else None
    record = record_of(run) if run else {}
    return _template().render(
        name=name,
        card=classifier.card,
        parameters=sum(p.numel() for p in classifier.network.parameters()),
        figures=_figures(classifier, measured),
        trained_on=trained_on and Path(trained_on.source).name,
        trained=_trained(trained_on, record),
        on_cifar10=trained_on is not None and trained_on.source in CIFAR10 and not record,
        weights=weights,
        licence=licence,
        remark=remark,
        **{file: _read(run, file) for file in ("result", "environment")},
    )


def _read(run: Path | None, name: str) -> dict[str, Any] | None:
    path = run / f"{name}.json" if run else None
    if path is None or not path.exists():
        return None
    try:
        found: dict[str, Any] = from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read ({error}); use another copy of the run") from error
    return found


def _trained(data: Data | None, record: dict[str, Any]) -> int | None:
    """How many pictures trained: those of the training set that were not held out."""
    if data is None or (not record and data.source not in CIFAR10):
        return None
    if not record:
        total = CIFAR10[data.source]
    else:  # shards are counted, not always class by class
        counts = record.get("samples") or {"train": sum(record["counts"]["train"].values())}
        total = counts["train"]
    return int(total) - data.validation


def _figures(classifier: Classifier, measured: Measured) -> dict[str, Any]:
    """Everything that the test set says, as the template shows it."""
    from plusx.report.intervals import wilson_interval  # the report draws: slow to import
    from plusx.report.measures import by_class, calibration_error
    from plusx.report.summary import confusion_matrix

    labels, probabilities = measured.labels, measured.probabilities
    surest, answers = probabilities.max(1), probabilities.argmax(1)
    wrong = answers != labels
    rows = by_class(confusion_matrix(labels, answers, len(classifier.card.classes)))
    return {
        "data": measured.data,
        "on_cifar10": measured.data in CIFAR10 and not measured.own,
        "pictures": len(labels),
        "accuracy": score(probabilities, labels)[1],
        "interval": wilson_interval(int((~wrong).sum()), len(labels)),
        "with_views": measured.with_views,
        "calibration_error": calibration_error(labels, probabilities),
        "flagged": float((surest[wrong] < classifier.card.doubt).mean()) if wrong.any() else None,
        "by_class": [
            (name, row) for name, row in zip(classifier.card.classes, rows, strict=True) if row.pictures
        ],
    }


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("plusx.export"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Markdown; `cell` and `text` keep names from breaking it
    )
    environment.filters |= {"yaml": _yaml, "text": _text, "cell": _cell, "percent": percent}
    return environment.get_template("model_card.md.jinja")


def _yaml(value: str) -> str:
    """A YAML string: a JSON one, since YAML reads JSON, of characters that YAML allows."""
    return json.dumps(_text(value), ensure_ascii=False)


def _text(value: str) -> str:
    """One line of printable characters."""
    return "".join(character if character.isprintable() else " " for character in value)


def _cell(value: str) -> str:
    """A cell of a Markdown table."""
    return _text(value).replace("\\", "\\\\").replace("|", "\\|")
