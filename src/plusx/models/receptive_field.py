"""What a unit of a feature map sees of the picture (lesson: 感受野)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn


@dataclass(frozen=True)
class Step:
    """A layer with a kernel or a weight matrix, and what came into it.

    Attributes:
        layer: the module.
        size: height and width of the map that came in; of vectors, (1, 1).
    """

    layer: nn.Module
    size: tuple[int, int]


def main_path(network: nn.Module, picture: Tensor) -> list[Step]:
    """The convolutions, poolings and linear layers in the order they run, leaving out shortcuts.

    A shortcut never sees more than the layers beside it, so the main path decides what a unit sees.

    Args:
        network: on the device of the picture; runs once, in the mode that it is in.
        picture: (1, 3, H, W).
    """
    path: list[Step] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        shape = inputs[0].shape
        path.append(Step(layer, (shape[2], shape[3]) if len(shape) == 4 else (1, 1)))

    hooks = [
        layer.register_forward_hook(note)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.MaxPool2d | nn.AvgPool2d) and "downsample" not in name
    ]
    try:
        network(picture)
    finally:
        for hook in hooks:
            hook.remove()
    return path


def path_to(stage: Sequence[nn.Module], path: Sequence[Step]) -> list[Step]:
    """The part of a network's main path that ends with a stage of it, see `plusx.models.stages`."""
    inside = {module for part in stage for module in part.modules()}
    last = max(place for place, step in enumerate(path) if step.layer in inside)
    return list(path[: last + 1])


def receptive_field(path: Sequence[nn.Module]) -> int:
    """Side of the patch that one output unit sees: layer by layer `r ← r + (K − 1) · D · j`, `j ← j · S`.

    Args:
        path: layers in the order they run; those without a kernel are passed over.

    >>> receptive_field([nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)])  # two 3×3 see as much as one 5×5
    5
    """
    field, jump = 1, 1
    for layer in path:
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            K, S, _, D = _geometry(layer, 0)
            field += (K - 1) * D * jump
            jump *= S
    return field


class Box(NamedTuple):
    """A rectangle of pixels, `picture[top:bottom, left:right]`."""

    top: int
    left: int
    bottom: int
    right: int


def seen_by(row: int, column: int, path: Sequence[Step]) -> Box:
    """The smallest rectangle around the pixels that one unit of the last map of a path sees.

    Walks back layer by layer: the output `a` sees the inputs `a·S − P + i·D`, 0 ≤ i < K, of which those
    outside the map are padding.

    Args:
        row: of the unit, from the top.
        column: of the unit, from the left.
        path: see `path_to`.

    Returns:
        Rows and columns of the picture; an empty rectangle for a unit that sees padding alone.

    >>> conv = nn.Conv2d(1, 1, 3, stride=2, padding=1)
    >>> seen_by(0, 2, [Step(conv, (8, 8))])
    Box(top=0, left=3, bottom=2, right=6)
    """
    (top, bottom), (left, right) = (_ends(at, path, axis) for axis, at in enumerate((row, column)))
    return Box(top, left, bottom, right)


def _ends(at: int, path: Sequence[Step], axis: int) -> tuple[int, int]:
    """Along one axis: the first input that the output `at` sees, and the one behind the last."""
    seen = {at}
    for step in reversed(path):
        K, S, P, D = _geometry(step.layer, axis)
        seen = {a * S - P + i * D for a in seen for i in range(K)} & {*range(step.size[axis])}
    return min(seen, default=0), max(seen, default=-1) + 1


def _geometry(layer: nn.Module, axis: int) -> tuple[int, int, int, int]:
    """Kernel size, stride, padding before the map, and dilation along an axis (0 vertical, 1 horizontal)."""

    def along(value: int | tuple[int, ...]) -> int:
        return value if isinstance(value, int) else value[axis]

    assert isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d)
    K, S, D = along(layer.kernel_size), along(layer.stride), along(getattr(layer, "dilation", 1))
    if isinstance(layer.padding, str):  # "same" puts the odd zero behind the map, "valid" none anywhere
        return K, S, (K - 1) * D // 2 if layer.padding == "same" else 0, D
    return K, S, along(layer.padding), D
