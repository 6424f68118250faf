import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from plusx.data import load
from plusx.train import Display, Trainer, claim, load_recipe
from plusx.train.recipe import Recipe

# The whole machinery on pictures of 8×8 pixels: a run of two epochs takes about a second.
TINY = {
    "data.source": "sample",
    "training.epochs": 2,
    "training.batch_size": 100,
    "training.small_epochs": 2,
    "training.small_size": 8,
    "evaluation.views": "none",
}


@pytest.fixture
def tiny() -> Callable[..., Recipe]:
    def recipe(name: str = "fast", **overrides: object) -> Recipe:
        return load_recipe(name, TINY | {key.replace("__", "."): value for key, value in overrides.items()})

    return recipe


@pytest.fixture
def trainer() -> Callable[[Recipe, Path], Trainer]:
    def make(recipe: Recipe, run: Path, mode: str = "quiet") -> Trainer:
        if not run.exists():
            claim(run, recipe)
        return Trainer(recipe, run, load("sample"), Display(recipe, Console(), mode))  # type: ignore[arg-type]

    return make


@pytest.fixture
def stop_in() -> Callable[[Trainer, int], None]:
    """Let a run get a SIGTERM in a step, counted from 1."""

    def arrange(made: Trainer, number: int) -> None:
        step = made._step

        def stopping(*given: Any) -> Any:
            if made.position.step + 1 == number:
                signal.raise_signal(signal.SIGTERM)
            return step(*given)

        made._step = stopping  # type: ignore[method-assign]

    return arrange
