"""Stages, and the pixels that a unit sees: against where its gradient is not zero."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from plusx import ops
from plusx.models import (
    Step,
    create_model,
    main_path,
    model_names,
    path_to,
    receptive_field,
    seen_by,
    stages,
    summarise,
)


def linearised(network: nn.Module) -> nn.Module:
    """All kernels positive and every maximum a mean: no pixel that a unit sees can fail to matter to it."""
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
        elif isinstance(layer, nn.MaxPool2d):
            parent, _, own = name.rpartition(".")
            mean = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding)
            setattr(network.get_submodule(parent), own, mean)
    return network.double().eval()


def pixels_with_gradient(
    network: nn.Module, module: nn.Module, size: tuple[int, int], row: int, column: int
) -> tuple[int, ...]:
    x = torch.ones(1, 3, *size, dtype=torch.double, requires_grad=True)
    maps = []
    hook = module.register_forward_hook(lambda *arguments: maps.append(arguments[-1]))
    with ops.engine("native"):
        network(x)
    hook.remove()
    (gradient,) = torch.autograd.grad(maps[0][0, :, row, column].sum(), x)
    rows, columns = (np.flatnonzero(gradient[0].sum(0).numpy().any(axis)) for axis in (1, 0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *(("fast", size) for size in ((32, 32), (39, 44))),
        *(("resnet20", size) for size in ((32, 32), (33, 50))),
        *(("resnet18", size) for size in ((64, 64), (97, 65))),
        ("plain20", (32, 32)),
        ("resnet50", (64, 64)),
    ],
)
def test_a_unit_sees_the_pixels_that_its_gradient_reaches(name: str, size: tuple[int, int]) -> None:
    network = linearised(create_model(name, num_classes=2))
    with torch.no_grad(), ops.engine("native"):
        path = main_path(network, torch.ones(1, 3, *size, dtype=torch.double))
    for stage in stages(network).values():
        to_stage = path_to(stage, path)
        height, width = heights_and_widths(network, stage[-1], size)
        for row, column in ((0, 0), (height // 2, width // 3), (height - 1, width - 1)):
            box = seen_by(row, column, to_stage)
            expected = pixels_with_gradient(network, stage[-1], size, row, column)
            assert box == expected


def heights_and_widths(network: nn.Module, module: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    shapes = []
    hook = module.register_forward_hook(lambda *arguments: shapes.append(arguments[-1].shape[2:]))
    with torch.no_grad(), ops.engine("native"):
        network(torch.ones(1, 3, *size, dtype=torch.double))
    hook.remove()
    return tuple(shapes[0])


layers = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(1, 2)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(layers=layers, side=st.integers(12, 30), at=st.floats(0, 1, exclude_max=True))
def test_any_stack_of_layers_sees_what_its_gradient_reaches(
    layers: list[tuple[int, int, int, int]], side: int, at: float
) -> None:
    x = y = torch.ones(1, 1, side, side, dtype=torch.double, requires_grad=True)
    path = []
    for K, S, P, D in layers:
        if y.shape[2] + 2 * P < (K - 1) * D + 1:
            break
        conv = nn.Conv2d(1, 1, K, S, P, D, bias=False, dtype=torch.double)
        nn.init.constant_(conv.weight, 1 / K**2)
        path.append(Step(conv, tuple(y.shape[2:])))
        y = conv(y)
    place = int(at * y.shape[2])
    (gradient,) = torch.autograd.grad(y[0, 0, place, place], x)
    seen = np.flatnonzero(gradient[0, 0].numpy().any(1))
    box = seen_by(place, place, path)
    assert (box.top, box.bottom) == ((seen[0], seen[-1] + 1) if len(seen) else (0, 0))
    assert (box.left, box.right) == (box.top, box.bottom)


@pytest.mark.parametrize("name", model_names())
def test_stages_and_head_hold_every_parameter_once(name: str) -> None:
    with torch.device("meta"):
        network = create_model(name, num_classes=3)
    parts = [module for stage in stages(network).values() for module in stage]
    inside = [parameter for part in parts for parameter in part.parameters()]
    head = [p for n, p in network.named_parameters() if n.startswith(("fc.", "linear."))]
    assert len({id(p) for p in inside}) == len(inside)
    assert {id(p) for p in network.parameters()} == {id(p) for p in inside + head}


@pytest.mark.parametrize("name", ["fast", "resnet20", "resnet18"])
def test_the_last_stage_sees_what_the_summary_says(name: str) -> None:
    with torch.device("meta"):
        network = create_model(name).eval()
        path = path_to([*stages(network).values()][-1], main_path(network, torch.empty(1, 3, 64, 64)))
    assert receptive_field([step.layer for step in path]) == summarise(name).receptive_field


def test_another_module_has_no_stages() -> None:
    with pytest.raises(TypeError, match="Linear has no `stages`"):
        stages(nn.Linear(2, 2))
