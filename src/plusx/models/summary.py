"""What a network is made of, measured once built: layers, parameters, multiply-adds, receptive field."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from plusx import ops
from plusx.models.receptive_field import main_path, receptive_field
from plusx.models.registry import create_model


@dataclass(frozen=True)
class Summary:
    """One row of `plusx models`.

    Attributes:
        name: the model's name.
        layers: convolutions and linear layers on the main path: the number in the model's name.
        parameters: all numbers that the network holds as parameters.
        multiply_adds: for one picture of input_size × input_size.
        receptive_field: side, in input pixels, of what one unit before the global pooling sees.
        input_size: side of the picture that the network was made for, in pixels.
    """

    name: str
    layers: int
    parameters: int
    multiply_adds: int
    receptive_field: int
    input_size: int


def multiply_adds(model: nn.Module, shape: tuple[int, ...] = (3, 32, 32)) -> int:
    """Multiply-adds of one forward pass on one picture: half of what torch's FLOP counter sees.

    Args:
        model: on the CPU or the meta device; left in the mode that it is in.
        shape: of the picture, (C, H, W).

    >>> multiply_adds(nn.Conv2d(3, 64, 3, padding=1, bias=False))
    1769472
    """
    device = next(model.parameters()).device
    with FlopCounterMode(display=False) as flops, ops.engine("native"), torch.no_grad():
        model(torch.empty(1, *shape, device=device))
    return flops.get_total_flops() // 2


def summarise(name: str, *, num_classes: int | None = None, residual: bool = True) -> Summary:
    """Build a network without allocating its weights and measure it.

    Multiply-adds are half of what torch's FLOP counter sees in one forward pass.

    Args:
        name: a name that `create_model` knows.
        num_classes: as in `create_model`.
        residual: as in `create_model`.

    Raises:
        UserError: if there is no such network.

    >>> summarise("resnet18").parameters
    11689512
    """
    with torch.device("meta"):
        model = create_model(name, num_classes=num_classes, residual=residual).eval()
        size = cast(int, model.input_size)
        picture = torch.empty(1, 3, size, size)
    with FlopCounterMode(display=False) as flops, ops.engine("native"), torch.no_grad():
        layers = [step.layer for step in main_path(model, picture)]
    return Summary(
        name=name,
        layers=sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in layers),
        parameters=sum(p.numel() for p in model.parameters()),
        multiply_adds=flops.get_total_flops() // 2,
        receptive_field=receptive_field(layers),
        input_size=size,
    )
