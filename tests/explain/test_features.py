"""The maps of the stages and the units: against a forward pass by hand, and against changed pictures."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from plusx import ops
from plusx.errors import UserError
from plusx.explain import StageMaps, stage_maps
from plusx.models import create_model


def outputs_by_hand(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """What comes out of the shipped network's stages."""
    with torch.no_grad(), ops.engine("native"):
        stem = network.relu(network.whiten(x))
        stage1 = network.block1(network.shrink1(stem))
        stage2 = network.block2(network.shrink2(stage1))
        stage3 = network.block3(network.shrink3(stage2))
    return {"stem": stem, "stage1": stage1, "stage2": stage2, "stage3": stage3}


@pytest.fixture(scope="module")
def found(classifier, x: Tensor) -> tuple[StageMaps, ...]:
    return stage_maps(classifier.network, x)


def test_the_maps_are_those_of_the_strongest_channels(found, classifier, x: Tensor) -> None:
    expected = outputs_by_hand(classifier.network, x)
    assert [stage.name for stage in found] == list(expected)
    for stage in found:
        output = expected[stage.name][0].numpy()
        highest = output.reshape(len(output), -1).max(1)
        assert stage.width == len(output)
        assert stage.channels == tuple(np.argsort(-highest, kind="stable")[:6])
        np.testing.assert_allclose(stage.maps, output[list(stage.channels)], rtol=1e-4, atol=1e-4)


def test_the_unit_is_the_one_that_fires_most(found, classifier, x: Tensor) -> None:
    for stage, output in zip(found, outputs_by_hand(classifier.network, x).values(), strict=True):
        unit = stage.unit
        assert np.unravel_index(int(output.argmax()), output.shape)[1:] == (
            unit.channel,
            unit.row,
            unit.column,
        )
        assert unit.activation == pytest.approx(output.max().item(), rel=1e-4)


def test_only_pixels_of_its_field_change_a_unit(found, classifier, x: Tensor) -> None:
    outside = torch.ones(x.shape[2:], dtype=torch.bool)
    for stage in found:
        unit, (top, left, bottom, right) = stage.unit, stage.unit.field
        outside[:] = True
        outside[top:bottom, left:right] = False
        assert not unit.gradient[outside.numpy()].any()
        assert unit.gradient.any()
        for where, changes in ((outside, False), (~outside, True)):
            other = torch.where(where, torch.randn(x.shape, generator=torch.Generator().manual_seed(0)), x)
            output = outputs_by_hand(classifier.network, other)[stage.name]
            moved = abs(output[0, unit.channel, unit.row, unit.column].item() - unit.activation)
            assert (moved > 1e-2) is changes, stage.name


def test_the_gradient_of_a_unit_is_its_slope(found, classifier, x: Tensor) -> None:
    """By finite differences in double precision, at the pixel that matters most."""
    network = copy.deepcopy(classifier.network).double()
    unit = found[1].unit
    row, column = np.unravel_index(unit.gradient.argmax(), unit.gradient.shape)
    slopes = []
    for colour in range(3):
        step = torch.zeros_like(x, dtype=torch.double)
        step[0, colour, row, column] = 1e-5
        ends = [outputs_by_hand(network, x + sign * step)["stage1"] for sign in (1, -1)]
        up, down = (end[0, unit.channel, unit.row, unit.column].item() for end in ends)
        slopes.append(abs(up - down) / 2e-5)
    assert sum(slopes) == pytest.approx(unit.gradient[row, column], rel=1e-4)


def test_a_chosen_unit_is_the_strongest_at_its_place(classifier, x: Tensor) -> None:
    stage2 = stage_maps(classifier.network, x, {"stage2": (7, 0)})[2]
    output = outputs_by_hand(classifier.network, x)["stage2"]
    assert (stage2.unit.row, stage2.unit.column) == (7, 0)
    assert stage2.unit.channel == int(output[0, :, 7, 0].argmax())
    assert stage2.unit.activation == pytest.approx(output[0, :, 7, 0].max().item(), rel=1e-4)


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"stage9": (0, 0)}, r"there is no stage 'stage9' .* stem, stage1, stage2, stage3"),
        ({"stage2": (8, 0)}, r"there is no unit 8,0 in stage2: its maps are 8×8, .* at most 7,7"),
        ({"stage3": (0, 4)}, r"there is no unit 0,4 in stage3"),
    ],
)
def test_a_unit_that_is_not_there_is_one_line(classifier, x, places, message: str) -> None:
    with pytest.raises(UserError, match=message):
        stage_maps(classifier.network, x, places)


@pytest.mark.parametrize(
    ("name", "size", "last"),
    [("resnet20", 48, (12, 12)), ("plain56", 32, (8, 8)), ("resnet18", 96, (3, 3)), ("resnet50", 64, (2, 2))],
)
def test_every_family_at_any_size(name: str, size: int, last: tuple[int, int]) -> None:
    network = create_model(name, num_classes=2).eval()
    found = stage_maps(network, torch.randn(1, 3, size, size))
    assert found[0].name == "stem"
    assert found[-1].maps.shape == (6, *last)
    assert found[-1].unit.gradient.shape == (size, size)
