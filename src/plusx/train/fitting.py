"""A recipe fitted to what it is used on: so many pictures of some size, so many processes."""

from collections.abc import Collection, Mapping
from typing import Any

from plusx.errors import UserError
from plusx.train.recipe import Recipe

SHIPPED_SIZE = 32  # the side, in pixels, that the shipped recipes are made for


def fit(recipe: Recipe, pictures: int, size: int, chosen: Collection[str] = ()) -> Recipe:
    """The recipe for so many pictures of this size; the shipped ones are made for 50 000 of 32×32.

    Batches become so small that an epoch has 32 steps (eight, if they would be below 64 pictures), and that
    a batch, of training or of measuring, has no more pixels than before. Crop, cutout and `small_size`, all
    in pixels, grow with the side. At most half of the epochs warm up, so that the rates fall again.
    Trained weights to begin with are changed at a third of the rates, the head at its full one.

    Args:
        recipe: as it was read.
        pictures: the number of training pictures.
        size: their side, in pixels.
        chosen: dotted keys that the user has set, and that stay as they are.

    Raises:
        UserError: if the held-out pictures leave fewer than two.

    >>> from plusx.train import load_recipe
    >>> fitted = fit(load_recipe("accurate"), pictures=800, size=64)
    >>> fitted.training.batch_size, fitted.training.small_size, fitted.data.crop
    (64, 40, 8)
    """
    data, training, scale = recipe.data, recipe.training, size / SHIPPED_SIZE
    count = pictures - data.validation
    if data.validation and count < 2:
        raise UserError(
            f"data.validation={data.validation} leaves {max(0, count)} of {pictures} pictures to train on; "
            "hold out fewer"
        )
    largest = min(count // 8, max(64, count // 32), round(training.batch_size / scale**2))
    at_a_time = round(recipe.evaluation.batch_size / scale**2)
    values: dict[str, float] = {
        "training.batch_size": min(training.batch_size, max(min(3, count), largest)),
        "evaluation.batch_size": min(recipe.evaluation.batch_size, max(1, at_a_time)),
        "training.small_size": max(8, round(training.small_size * scale)),
        "data.crop": round(data.crop * scale),
        "data.cutout": round(data.cutout * scale),
        "schedule.warmup_epochs": min(recipe.schedule.warmup_epochs, training.epochs / 2),
    }
    if recipe.model.begin_from:
        optimizer = recipe.optimizer
        values["optimizer.learning_rate"] = optimizer.learning_rate / 3
        values["optimizer.bias_learning_rate"] = optimizer.bias_learning_rate / 3
        values["optimizer.head_learning_rate"] = optimizer.head_learning_rate or optimizer.learning_rate
    return _with(recipe, {key: value for key, value in values.items() if key not in chosen})


def scaled(recipe: Recipe, processes: int) -> Recipe:
    """The recipe for so many processes: with `training.scale_batch` the batch grows with their number.

    In the result it is the batch of all, and `scale_batch` false: read again, the recipe stays as it is.

    SGD's rates grow with the batch (the linear scaling rule, Goyal et al. 2017, arXiv 1706.02677). Muon's
    don't: the length of its steps does not depend on the gradient's.

    >>> from plusx.train import load_recipe
    >>> recipe = load_recipe("resnet20", {"training.scale_batch": True})
    >>> scaled(recipe, 4).training.batch_size, round(scaled(recipe, 4).optimizer.learning_rate, 3)
    (512, 0.4)
    """
    if not recipe.training.scale_batch:
        return recipe
    values: dict[str, Any] = {
        "training.batch_size": recipe.training.batch_size * processes,
        "training.scale_batch": False,
    }
    if recipe.optimizer.name == "sgd":
        for rate in ("learning_rate", "head_learning_rate"):
            values[f"optimizer.{rate}"] = getattr(recipe.optimizer, rate) * processes
    return _with(recipe, values)


def _with(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with other values, by dotted key."""
    tables = recipe.model_dump()
    for key, value in values.items():
        section, field = key.split(".")
        tables[section][field] = value
    return Recipe.model_validate(tables)
