"""Training: recipes, the loop, optimisers, checkpoints, the journal, the screen."""

from plusx.train.device import resolve_device, resolve_precision
from plusx.train.display import Display, choose_mode
from plusx.train.evaluate import predict, score
from plusx.train.loop import Interrupted, Outcome, Trainer, start
from plusx.train.recipe import Recipe, load_recipe, parse_setting, recipe_names

__all__ = [
    "Display",
    "Interrupted",
    "Outcome",
    "Recipe",
    "Trainer",
    "choose_mode",
    "load_recipe",
    "parse_setting",
    "predict",
    "recipe_names",
    "resolve_device",
    "resolve_precision",
    "score",
    "start",
]
