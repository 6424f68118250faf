"""Every network by name: `create_model("resnet18")`."""

import re
from functools import partial
from typing import Protocol

from torch import nn

from plusx.errors import UserError
from plusx.models import cifar, resnet
from plusx.models.cifar import CifarResNet
from plusx.models.fast import FastNet
from plusx.models.resnet import ResNet


class Build(Protocol):
    """What the registry holds for each name."""

    def __call__(self, *, num_classes: int = ..., residual: bool = ...) -> nn.Module:
        """Build the network."""


RESIDUAL: dict[str, Build] = {
    "fast": FastNet,
    "fast-relu": partial(FastNet, activation="relu"),
    "fast-wide": partial(FastNet, width=128),
    **{f"resnet{depth}": partial(CifarResNet, depth) for depth in cifar.DEPTHS},
    **{f"resnet{depth}": partial(ResNet, depth) for depth in resnet.DEPTHS},
}


def plain_name(name: str) -> str:
    """The name of a network's plain twin: resnet20 → plain20, fast → fast-plain."""
    return re.sub(r"^resnet", "plain", name) if name.startswith("resnet") else f"{name}-plain"


PLAIN = {plain_name(name): name for name in RESIDUAL}


def model_names() -> tuple[str, ...]:
    """All names that `create_model` knows, the residual ones first.

    >>> "resnet20" in model_names() and "plain20" in model_names()
    True
    """
    return (*RESIDUAL, *PLAIN)


def create_model(name: str, *, num_classes: int | None = None, residual: bool = True) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        name: one of `model_names()`: "fast", "resnet18", "resnet20", "plain20", …
        num_classes: the number of logits; None takes what the network was made for (1000 or 10).
        residual: False builds the plain twin, the same layers without shortcuts: of "resnet20", "plain20".

    Returns:
        The network, in training mode: pictures (N, 3, H, W) → logits (N, num_classes).

    Raises:
        UserError: if there is no such network, or fewer than one class.

    >>> create_model("resnet20").linear.out_features
    10
    >>> create_model("resnet152", residual=False).layer3[35].downsample is None
    True
    """
    if name not in RESIDUAL and name not in PLAIN:
        raise UserError(f"there is no model {name!r}; choose one of: {', '.join(model_names())}")
    build = partial(RESIDUAL[PLAIN.get(name, name)], residual=residual and name not in PLAIN)
    if num_classes is None:
        return build()
    if num_classes < 1:
        raise UserError(f"a model needs at least 1 class, not {num_classes}")
    return build(num_classes=num_classes)
