"""What an experiment finds on its bench: pictures, trainings that are kept, a line to say what goes on."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from torch import Tensor, nn

from plusx.console import redraws, say
from plusx.data import Dataset, load
from plusx.inference import predict, score
from plusx.models import create_model
from plusx.models import load as load_weights
from plusx.text import clock, percent
from plusx.train import Display, Recipe, Trainer, claim, load_recipe, locked

RECIPE = str(Path(__file__).parent / "lab.toml")

# What changes neither the weights nor the figures of a run.
IRRELEVANT = {"training": {"device", "checkpoint_minutes"}, "evaluation": {"batch_size"}, "data": {"source"}}


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished training.

    Attributes:
        model: in evaluation mode, on the CPU; its `card` says how to feed it.
        result: `result.json`.
        epochs: the lines of `metrics.jsonl`.
    """

    model: nn.Module
    result: dict[str, Any]
    epochs: list[dict[str, Any]]

    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Share of pictures (N, H, W, 3), uint8, that it names right."""
        return score(self.probabilities(images), labels)[1]

    def probabilities(self, images: np.ndarray) -> Tensor:
        """Class probabilities (N, classes) of pictures (N, H, W, 3), uint8."""
        return predict(self.model, images, self.model.card)  # type: ignore[arg-type]


class Workbench:
    """Where experiments are made.

    Args:
        folder: where trainings are kept, in `trainings/`, each under a name made of all that it depends on.
        quick: the embedded sample instead of CIFAR-10, one seed, a few steps.
        console: where progress is shown.
        data_dir: where CIFAR-10 lies; the user's cache unless given.

    Attributes:
        trained: when and on what each training was made that was asked for, by the name of its folder.
    """

    def __init__(
        self, folder: Path, *, quick: bool, console: Console | None = None, data_dir: Path | None = None
    ) -> None:
        """Touch nothing yet."""
        self.folder, self.quick = folder, quick
        self.console = console or Console(quiet=True)
        self.data_dir = data_dir
        self.trained: dict[str, dict[str, Any]] = {}

    @cached_property
    def dataset(self) -> Dataset:
        """CIFAR-10, or the sample of 1 000 pictures where it has to be quick."""
        return load("sample" if self.quick else "cifar10", self.data_dir, console=self.console)

    def seeds(self, full: int) -> range:
        """So many seeds; one where it has to be quick."""
        return range(1 if self.quick else full)

    def say(self, line: str) -> None:
        """Tell the person what goes on."""
        say(self.console, line, style="dim")

    def train(
        self,
        name: str,
        build: Callable[[], nn.Module] | None = None,
        *,
        recipe: str = RECIPE,
        dataset: Dataset | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> Trained:
        """Train a network with the project's one loop, or take the finished training out of the drawer.

        An unfinished one goes on where it was stopped. A training is the same one if its settings, its
        network and its pictures are the same.

        Args:
            name: what to call it, such as "max pooling".
            build: makes the network; the recipe's own unless given.
            recipe: the laboratory's for networks of one's own, or a shipped one by name.
            dataset: the bench's unless given.
            seed: of everything random.
            settings: any setting of the recipe, two underscores for the dot: `training__epochs=3`.

        Raises:
            Interrupted: after Ctrl-C; a checkpoint is written.
        """
        dataset = dataset or self.dataset
        overrides = {key.replace("__", "."): value for key, value in settings.items()}
        if self.quick:
            overrides |= {"training.epochs": 2, "training.batch_size": 50, "schedule.warmup_epochs": 0.5}
        settled = load_recipe(recipe, {"training.seed": seed, **overrides})
        network = build() if build else create_model(settled.model.name, residual=settled.model.residual)
        run = self.folder / "trainings" / f"{_slug(name)}-seed{seed}-{_key(settled, network, dataset)}"
        if not (run / "result.json").exists():
            self._train(name, settled, run, dataset, build)
        facts = json.loads((run / "environment.json").read_text(encoding="utf-8"))
        self.trained[run.name] = {key: facts[key] for key in ("date", "torch", "processor", "threads")}
        load_weights(run, into=network)
        with (run / "metrics.jsonl").open(encoding="utf-8") as lines:
            epochs = [json.loads(line) for line in lines]
        result = json.loads((run / "result.json").read_text(encoding="utf-8"))
        return Trained(network, result, epochs)

    def _train(
        self,
        name: str,
        recipe: Recipe,
        run: Path,
        dataset: Dataset,
        build: Callable[[], nn.Module] | None,
    ) -> None:
        self.say(f"training {name}, seed {recipe.training.seed}: {run}")
        live = redraws(self.console)
        display = Display(recipe, self.console, "live" if live else "quiet", transient=True)
        with locked(run, wait=True):
            if not (run / "recipe.toml").exists():
                claim(run, recipe)
            if not (run / "result.json").exists():
                result = Trainer(recipe, run, dataset, display, build).train().result
                self.say(f"  test {percent(result['test_accuracy'])} in {clock(result['seconds']['train'])}")


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _key(recipe: Recipe, network: nn.Module, dataset: Dataset) -> str:
    """Eight digits that change with every setting, layer or picture that a training depends on."""
    settings = recipe.model_dump()
    for section, names in IRRELEVANT.items():
        for name in names:
            del settings[section][name]
    pictures = hashlib.sha256()
    for part in (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels):
        pictures.update(np.ascontiguousarray(part).data)
    described = json.dumps([settings, str(network), pictures.hexdigest()])
    return hashlib.sha256(described.encode()).hexdigest()[:8]
