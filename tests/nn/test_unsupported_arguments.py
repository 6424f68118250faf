"""What a layer cannot do it refuses at once, naming the argument."""

import pytest
import torch

import plusx
from plusx import nn


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="reflect"), "padding_mode .*'reflect'"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), "'full'"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "groups"),
        (lambda: nn.MaxPool2d(2, return_indices=True), "indices"),
        (lambda: nn.AvgPool2d(2, divisor_override=3), "divisor_override"),
        (lambda: nn.AdaptiveAvgPool2d((2, 1), engine="handmade"), r"\(2, 1\)"),
    ],
)
def test_unsupported_arguments_are_refused(build, says):
    with pytest.raises(ValueError, match=says):
        build()


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 4, 3, engine="cudnn"),
        nn.MaxPool2d(2, engine="cudnn"),
        nn.GlobalAvgPool2d(engine="cudnn"),
        nn.BatchNorm2d(3, engine="cudnn"),
        nn.ReLU(engine="cudnn"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_an_unknown_engine_lists_the_known_ones(layer):
    with pytest.raises(ValueError, match="reference, handmade, native"):
        layer(torch.randn(2, 3, 5, 5))


def test_an_unknown_surrounding_engine_is_refused():
    with pytest.raises(ValueError, match="cudnn"), plusx.engine("cudnn"):
        pass


def test_cross_entropy_has_no_class_weights():
    with pytest.raises(TypeError, match="weight"):
        nn.CrossEntropyLoss(weight=torch.ones(3))


@pytest.mark.parametrize("engine", plusx.ops.ENGINES)
def test_batch_norm_refuses_what_it_cannot_normalise(engine):
    layer = nn.BatchNorm2d(3, engine=engine)
    with pytest.raises(ValueError, match="4D"):
        layer(torch.randn(3, 5, 5))
    with pytest.raises(ValueError, match="more than 1 value"):
        layer(torch.randn(1, 3, 1, 1))
