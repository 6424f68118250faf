"""What the tests of the networks share."""

import sys
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

IMAGENET = {  # He et al. 2015, table 1: convolutions in a block, blocks in each stage
    18: (2, (2, 2, 2, 2)),
    34: (2, (3, 4, 6, 3)),
    50: (3, (3, 4, 6, 3)),
    101: (3, (3, 4, 23, 3)),
    152: (3, (3, 8, 36, 3)),
}


def batch_norm(name: str) -> set[str]:
    """The state names of one batch normalisation."""
    return {
        f"{name}.{leaf}" for leaf in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }


def block(name: str, convolutions: int) -> set[str]:
    """The state names of the convolutions of one block, each with its batch normalisation."""
    numbers = range(1, convolutions + 1)
    return {f"{name}.conv{i}.weight" for i in numbers}.union(*(batch_norm(f"{name}.bn{i}") for i in numbers))


@pytest.fixture
def imagenet_names() -> Callable[[int], set[str]]:
    """The state names of torchvision's ResNets, by the table of the paper."""

    def names(depth: int) -> set[str]:
        convolutions, stages = IMAGENET[depth]
        found = {"conv1.weight", "fc.weight", "fc.bias"} | batch_norm("bn1")
        for stage, blocks in enumerate(stages, start=1):
            for i in range(blocks):
                found |= block(f"layer{stage}.{i}", convolutions)
            if stage > 1 or convolutions == 3:  # here the width or the size changes
                found |= {f"layer{stage}.0.downsample.0.weight"} | batch_norm(f"layer{stage}.0.downsample.1")
        return found

    return names


@pytest.fixture
def cifar_names() -> Callable[[int], set[str]]:
    """The state names of the public CIFAR checkpoints: 6n + 2 layers, parameter-free shortcuts."""

    def names(depth: int) -> set[str]:
        found = {"conv1.weight", "linear.weight", "linear.bias"} | batch_norm("bn1")
        for stage in (1, 2, 3):
            for i in range((depth - 2) // 6):
                found |= block(f"layer{stage}.{i}", 2)
        return found

    return names


@pytest.fixture
def filled() -> Callable[[nn.Module], dict[str, Tensor]]:
    """A state of the network's shapes with every number drawn anew, the running variances positive."""

    def fill(model: nn.Module) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(0)
        return {
            name: torch.empty(tensor.shape).uniform_(0.1, 0.3, generator=generator)
            if "running_var" in name
            else torch.empty(tensor.shape).uniform_(-0.1, 0.1, generator=generator).to(tensor.dtype)
            for name, tensor in model.state_dict().items()
        }

    return fill


@pytest.fixture(scope="session")
def torchvision_models() -> ModuleType:
    """torchvision's networks, where they import.

    Beside a build of torch that its compiled operators do not fit, torchvision stops where it describes the
    shapes of two of them. The networks use neither, so it is enough that the names exist.
    """
    try:
        return pytest.importorskip("torchvision.models")
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name in ("nms", "qnms"):
            schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{name}", schema)
        return pytest.importorskip("torchvision.models")
