"""Training: recipes, the loop, optimisers, checkpoints, the journal, the screen."""

from plusx.train.device import resolve_device, resolve_precision
from plusx.train.directory import claim, recipe_of, refuse_changed, refuse_taken
from plusx.train.display import Display, choose_mode
from plusx.train.evaluate import doubt_below, predict, score
from plusx.train.interrupt import Interrupted
from plusx.train.loop import Outcome, Trainer
from plusx.train.recipe import Recipe, fit, load_recipe, parse_setting, recipe_names, setting_keys

__all__ = [
    "Display",
    "Interrupted",
    "Outcome",
    "Recipe",
    "Trainer",
    "choose_mode",
    "claim",
    "doubt_below",
    "fit",
    "load_recipe",
    "parse_setting",
    "predict",
    "recipe_names",
    "recipe_of",
    "refuse_changed",
    "refuse_taken",
    "resolve_device",
    "resolve_precision",
    "score",
    "setting_keys",
]
