"""Layers: thin modules over `plusx.ops`, with the arguments and state names of their `torch.nn` twins.

    >>> import torch, plusx.nn as nn
    >>> layer = nn.Conv2d(3, 64, kernel_size=3, padding=1)
    >>> layer(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 64, 32, 32])

A model written for `torch.nn` runs with `plusx.nn` in its place: what is not made here (containers, dropout)
is torch's own. A layer built with `engine="handmade"` or `engine="native"` keeps that engine; otherwise the
surrounding `with plusx.engine(…)` counts. `torch.func`'s transformations (grad, vmap) need native throughout.
"""

from typing import Any

import torch.nn
from torch.nn import Flatten, Identity, Module, Parameter, Sequential

from plusx.nn.activation import Hardswish, ReLU
from plusx.nn.conv import Conv2d
from plusx.nn.linear import Linear
from plusx.nn.loss import CrossEntropyLoss
from plusx.nn.norm import BatchNorm2d
from plusx.nn.pool import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Flatten",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
    "Hardswish",
    "Identity",
    "Linear",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
]


def __getattr__(name: str) -> Any:
    """Everything that plusx does not make by hand comes from `torch.nn`."""
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(torch.nn, name)
