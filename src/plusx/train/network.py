"""The network of a run before its first step: built, begun from trained weights, frozen, fitted."""

from collections.abc import Callable

import torch
from torch import nn

from plusx import ops
from plusx.data import Feed, channel_statistics
from plusx.errors import UserError
from plusx.inference import normalise
from plusx.models import Card, FastNet, ResNet, begin_from, create_model, stages
from plusx.nn import BatchNorm2d
from plusx.train.recipe import Model

MEASURED = 100_000  # pictures whose channel statistics stand for all
FITTED = 5_000  # pictures that the fast net's first layer is fitted to

# What every public network trained on ImageNet takes off its pictures, and divides by.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def prepare(
    settings: Model, feed: Feed, classes: tuple[str, ...], build: Callable[[], nn.Module] | None
) -> tuple[nn.Module, Card]:
    """Build the network and say how to feed it.

    Args:
        settings: the recipe's table.
        feed: the training pictures.
        classes: their names.
        build: makes the network where the recipe names none ("custom").

    Returns:
        The network on the CPU, and its card, with the normalisation of the training pictures or, if it begins
        from trained weights, of those that they have seen.

    Raises:
        UserError: if the weights to begin from don't fit, or there is no stage of the name to freeze.
    """
    model = (
        build()
        if build
        else create_model(settings.name, num_classes=len(classes), residual=settings.residual)
    )
    mean, std = (tuple(v) for v in channel_statistics(feed.sample(MEASURED).cpu().numpy()))
    if settings.begin_from:
        begun = begin_from(model, settings.begin_from, classes)
        if begun is not None:
            mean, std = begun.mean, begun.std
        elif isinstance(model, ResNet):
            mean, std = IMAGENET_MEAN, IMAGENET_STD
    elif isinstance(model, FastNet):
        sample = normalise(feed.sample(FITTED).cpu(), torch.tensor(mean).float(), torch.tensor(std).float())
        model.fit_input(sample)
    card = Card(settings.name, settings.residual, classes, tuple(mean), tuple(std), input_size=feed.size)
    return model, card


def refuse_small_pictures(model: nn.Module, crop: int, size: int, smallest: int) -> None:
    """Make sure that the pictures are large enough for what is done to them, before anything is.

    Args:
        model: the network, on the CPU.
        crop: the largest shift, in pixels.
        size: the pictures' side, in pixels.
        smallest: their side in the epochs that see them reduced.

    Raises:
        UserError: if they are not.
    """
    if crop >= size:
        raise UserError(f"data.crop={crop} shifts pictures of {size}×{size} by more than {size - 1} pixels")
    was_training = model.training
    try:
        with torch.no_grad(), ops.engine("native"):
            model.eval()(torch.zeros(1, 3, smallest, smallest))
    except (ValueError, RuntimeError) as error:
        too_small = f"pictures of {smallest}×{smallest} are too small for this network"
        raise UserError(f"{too_small}: {error}") from error
    finally:
        model.train(was_training)


def share_norms(model: nn.Module) -> None:
    """Let every batch norm take its statistics from the pictures of all processes, not of its own alone."""
    for layer in model.modules():
        if isinstance(layer, BatchNorm2d):
            layer.shared = True


def frozen_part(model: nn.Module, last: str) -> list[nn.Module]:
    """Freeze the network from its input up to and with a stage.

    Args:
        model: changed in place: the frozen parameters want no gradient any more.
        last: a name of `plusx.models.stages`, such as "stage2"; "" freezes nothing.

    Returns:
        The modules that are frozen; they belong in evaluation mode, so that their statistics stay too.

    Raises:
        UserError: if there is no such stage.

    >>> model = create_model("resnet20")
    >>> len(frozen_part(model, "stage1")), model.layer1[0].conv1.weight.requires_grad
    (3, False)
    """
    if not last:
        return []
    parts = stages(model)
    if last not in parts:
        raise UserError(f"model.freeze={last}: choose one of {', '.join(parts)}, or nothing")
    names = list(parts)
    frozen = [module for name in names[: names.index(last) + 1] for module in parts[name]]
    for module in frozen:
        module.requires_grad_(False)
    return frozen
