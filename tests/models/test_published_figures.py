"""Layers, parameters, multiply-adds and receptive fields, against publications and against gradients."""

import pytest
import torch
from torch import Tensor, nn

from plusx.models import create_model, model_names, receptive_field, summarise

PARAMETERS = {  # torchvision's documentation; the public CIFAR ResNets of He et al. 2015, table 6
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet110": 1_727_962,
}
IMAGENET = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
MULTIPLY_ADDS = {
    "resnet18": 1.82e9,
    "resnet34": 3.67e9,
    "resnet50": 4.11e9,
    "resnet101": 7.83e9,
    "resnet152": 11.56e9,
    "resnet20": 41e6,
    "resnet56": 126e6,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_the_published_ones(name):
    assert summarise(name).parameters == PARAMETERS[name]


@pytest.mark.parametrize("name", MULTIPLY_ADDS)
def test_multiply_adds_are_near_the_published_ones(name):
    published_to = 0.0125  # they come with two or three digits
    assert summarise(name).multiply_adds == pytest.approx(MULTIPLY_ADDS[name], rel=published_to)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_number_in_the_name_is_the_number_of_layers(name):
    assert summarise(name).layers == int(name.removeprefix("resnet"))
    assert summarise(name, residual=False).layers == int(name.removeprefix("resnet"))


def test_classes_change_the_last_layer_alone():
    thousand, ten = summarise("resnet18"), summarise("resnet18", num_classes=10)
    assert thousand.parameters - ten.parameters == 990 * (512 + 1)


@pytest.mark.parametrize("name", model_names())
def test_every_network_is_measured_at_the_size_it_was_made_for(name):
    summary = summarise(name)
    depth = int("".join(filter(str.isdigit, name)) or 0)
    assert summary.name == name
    assert summary.input_size == (224 if f"resnet{depth}" in IMAGENET else 32)
    assert min(summary.layers, summary.parameters, summary.multiply_adds, summary.receptive_field) > 0


def rows_seen(model: nn.Module, rows: int) -> int:
    """Rows of the picture that one unit in the middle of the last map sees, by its gradient.

    All weights are positive and nothing is rectified away, so that no path cancels another; the maximum, of
    whose window the gradient sees one pixel alone, gives way to the mean. Only rows are measured: a narrow
    picture will do.
    """
    model = model.double().eval().requires_grad_(False)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d):
                child.weight.fill_(1 / child.weight[0].numel())
            elif isinstance(child, nn.MaxPool2d):
                setattr(parent, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
    last: list[Tensor] = []
    head = model.pool if hasattr(model, "pool") else model.avgpool
    head.register_forward_pre_hook(lambda _, inputs: last.append(inputs[0]))
    picture = torch.ones(1, 3, rows, 32, dtype=torch.float64, requires_grad=True)
    model(picture)
    features = last[0]
    features[0, :, features.shape[2] // 2].sum().backward()
    seen = picture.grad.sum((0, 1, 3)).nonzero()
    first, final = int(seen.min()), int(seen.max())
    assert 0 < first < final < rows - 1, "the picture is too small to hold the receptive field"
    return final - first + 1


@pytest.mark.parametrize(
    ("name", "rows"),
    [("fast", 96), ("resnet20", 128), ("plain20", 128), ("resnet32", 192), ("resnet18", 576)],
)
def test_receptive_field_is_what_the_gradient_reaches(name, rows):
    assert summarise(name).receptive_field == rows_seen(create_model(name), rows)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ([], 1),
        ([nn.Conv2d(1, 1, 3)] * 3, 7),  # the lesson's homework: three 3×3 see as much as one 7×7
        ([nn.Conv2d(1, 1, 7)], 7),
        ([nn.Conv2d(1, 1, 3, dilation=2)], 5),
        ([nn.Conv2d(1, 1, 3, stride=2), nn.ReLU(), nn.Conv2d(1, 1, 3)], 7),
        ([nn.Conv2d(1, 1, 3), nn.MaxPool2d(2), nn.Conv2d(1, 1, 3), nn.AvgPool2d(2)], 10),
    ],
)
def test_receptive_field_of_small_stacks(path, field):
    assert receptive_field(path) == field
