"""Training: recipes, the loop, optimisers, checkpoints, the journal, the screen."""

from plusx.train.directory import alike, claim, locked, recipe_of, record_of, refuse_changed, refuse_taken
from plusx.train.display import Display, choose_mode
from plusx.train.fitting import fit, scaled
from plusx.train.interrupt import Interrupted, resume_command
from plusx.train.loop import Outcome, Trainer
from plusx.train.processes import Processes, joined, leave, started
from plusx.train.recipe import Recipe, load_recipe, parse_setting, recipe_names, settled_in, to_toml

__all__ = [
    "Display",
    "Interrupted",
    "Outcome",
    "Processes",
    "Recipe",
    "Trainer",
    "alike",
    "choose_mode",
    "claim",
    "fit",
    "joined",
    "leave",
    "load_recipe",
    "locked",
    "parse_setting",
    "recipe_names",
    "recipe_of",
    "record_of",
    "refuse_changed",
    "refuse_taken",
    "resume_command",
    "scaled",
    "settled_in",
    "started",
    "to_toml",
]
