"""What the stages of a network make of a picture: their strongest channels, and what single units see."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from plusx import ops
from plusx.errors import UserError
from plusx.models import Box, main_path, path_to, seen_by, stages

CHANNELS_SHOWN = 6


@dataclass(frozen=True)
class Unit:
    """One number of a feature map, and what it sees.

    Attributes:
        channel: of the map, from 0.
        row: from the top, from 0.
        column: from the left, from 0.
        activation: its value.
        field: its receptive field: the pixels that can matter to it.
        gradient: float32 (H, W), `Σ abs(∂activation/∂pixel)` over the colours: how much each does.
    """

    channel: int
    row: int
    column: int
    activation: float
    field: Box
    gradient: np.ndarray


@dataclass(frozen=True)
class StageMaps:
    """What came out of one stage.

    Attributes:
        name: "stem", "stage1", …
        width: how many channels it has.
        channels: the strongest ones, by their highest value, strongest first; 6 at most.
        maps: float32 (channels, h, w), of these channels.
        unit: the unit that fires most, or the strongest one at the place that was asked for.
    """

    name: str
    width: int
    channels: tuple[int, ...]
    maps: np.ndarray
    unit: Unit


def stage_maps(
    network: nn.Module, x: Tensor, places: Mapping[str, tuple[int, int]] | None = None
) -> tuple[StageMaps, ...]:
    """Look at the output of every stage of a network.

    Args:
        network: in evaluation mode; `plusx.models.stages` knows its stages.
        x: the normalised picture, float32 (1, 3, H, W).
        places: (row, column) of the unit to look at, by stage; elsewhere it is the unit that fires most.

    Raises:
        UserError: if there is no such stage, or no such unit in it.

    >>> from plusx.models import create_model
    >>> network = create_model("resnet20").eval()
    >>> stem, *_, last = stage_maps(network, torch.ones(1, 3, 32, 32), {"stage3": (0, 7)})
    >>> stem.maps.shape, last.unit.row, last.unit.column
    ((6, 32, 32), 0, 7)
    """
    places = places or {}
    parts = stages(network)
    for name in places.keys() - parts.keys():
        raise UserError(f"there is no stage {name!r} in this network; choose one of: {', '.join(parts)}")
    x = x.detach().requires_grad_()
    outputs: dict[str, Tensor] = {}
    hooks = [
        modules[-1].register_forward_hook(lambda *call, name=name: outputs.update({name: call[-1]}))
        for name, modules in parts.items()
    ]
    try:
        with ops.engine("native"):
            path = main_path(network, x)
    finally:
        for hook in hooks:
            hook.remove()
    found = []
    for name, modules in parts.items():
        maps = outputs[name][0]
        channel, row, column = _strongest(maps, name, places.get(name))
        activation = maps[channel, row, column]
        (gradient,) = torch.autograd.grad(activation, x, retain_graph=True)
        seen = seen_by(row, column, path_to(modules, path))
        unit = Unit(channel, row, column, activation.item(), seen, _array(gradient[0].abs().sum(0)))
        best = maps.amax((1, 2)).topk(min(CHANNELS_SHOWN, len(maps))).indices
        found.append(StageMaps(name, len(maps), tuple(best.tolist()), _array(maps[best]), unit))
    return tuple(found)


def _strongest(maps: Tensor, stage: str, place: tuple[int, int] | None) -> tuple[int, int, int]:
    """Channel, row and column of the highest value in (C, h, w), over all or at one place."""
    _, height, width = maps.shape
    if place is None:
        channel, place_in_map = divmod(int(maps.argmax()), height * width)
        return channel, *divmod(place_in_map, width)
    row, column = place
    if not (0 <= row < height and 0 <= column < width):
        raise UserError(
            f"there is no unit {row},{column} in {stage}: its maps are {height}×{width}, "
            f"so row and column are at most {height - 1},{width - 1}"
        )
    return int(maps[:, row, column].argmax()), row, column


def _array(values: Tensor) -> np.ndarray:
    return values.detach().float().cpu().numpy()
