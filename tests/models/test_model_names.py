"""Networks by name."""

import pytest
import torch

from plusx.errors import UserError
from plusx.models import CifarResNet, FastNet, ResNet, create_model, model_names

IMAGENET = (18, 34, 50, 101, 152)
CIFAR = (20, 32, 44, 56, 110)


def test_the_names_are_the_two_families_the_fast_nets_and_their_plain_twins():
    numbers = (*IMAGENET, *CIFAR)
    residual = {"fast", "fast-relu", "fast-wide", *(f"resnet{depth}" for depth in numbers)}
    plain = {"fast-plain", "fast-relu-plain", "fast-wide-plain", *(f"plain{depth}" for depth in numbers)}
    assert len(model_names()) == len(set(model_names()))
    assert set(model_names()) == residual | plain


@pytest.mark.parametrize(
    ("names", "kind", "classes"),
    [
        ([f"resnet{depth}" for depth in IMAGENET], ResNet, 1000),
        ([f"resnet{depth}" for depth in CIFAR], CifarResNet, 10),
        (["fast", "fast-plain", "fast-relu", "fast-wide"], FastNet, 10),
        (["plain34"], ResNet, 1000),
        (["plain56"], CifarResNet, 10),
    ],
)
def test_each_name_builds_its_network_with_its_classes(names, kind, classes):
    for name in names:
        with torch.device("meta"):
            default, three = create_model(name), create_model(name, num_classes=3)
        for model, expected in ((default, classes), (three, 3)):
            last = model.fc if kind is ResNet else model.linear
            assert isinstance(model, kind)
            assert last.out_features == expected
            assert model.training


def test_plain_is_residual_switched_off():
    torch.manual_seed(0)
    twin = create_model("resnet20", residual=False)
    torch.manual_seed(0)
    plain = create_model("plain20")
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(twin(x), plain(x))


@pytest.mark.parametrize("name", ["resnet19", "ResNet18", "", "plain", "vgg16"])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(UserError, match=r"resnet20, .*plain20") as caught:
        create_model(name)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("classes", [0, -1])
def test_there_must_be_a_class(classes):
    with pytest.raises(UserError, match=f"not {classes}"):
        create_model("resnet20", num_classes=classes)


def test_an_imagenet_depth_that_the_paper_has_not_is_refused():
    with pytest.raises(ValueError, match="not 20"):
        ResNet(20)
