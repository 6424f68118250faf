"""One step of training on our own arithmetic equals one on torch's, loss, gradients and new weights."""

import copy

import pytest
import torch
from torch import nn

import plusx
from plusx.models import Bottleneck, CifarResNet, FastNet
from plusx.models.blocks import he_initialise, stage


def bottlenecks() -> nn.Module:
    """The ImageNet family's stem and block in small."""
    model = plusx.nn.Sequential(
        plusx.nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False),
        plusx.nn.BatchNorm2d(8),
        plusx.nn.ReLU(),
        plusx.nn.MaxPool2d(3, 2, 1),
        stage(Bottleneck, 8, 4, blocks=2, stride=2),
        plusx.nn.GlobalAvgPool2d(),
        plusx.nn.Flatten(),
        plusx.nn.Linear(16, 10),
    )
    he_initialise(model)
    return model


NETWORKS = {
    "cifar, option A": lambda: CifarResNet(8),
    "cifar, option B": lambda: CifarResNet(8, option="B"),
    "plain": lambda: CifarResNet(8, residual=False),
    "fast": FastNet,
    "bottlenecks": bottlenecks,
}


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_a_step_on_handmade_equals_a_step_on_native(build):
    torch.manual_seed(0)
    first = build().double()
    x = torch.randn(3, 3, 16, 16, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    target = torch.tensor([1, 7, 7])
    losses, networks = [], []
    for engine in ("native", "handmade"):
        model = copy.deepcopy(first)
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
        with plusx.engine(engine):
            for _ in range(2):  # the fast net's zero head lets no gradient through in the first step
                optimizer.zero_grad()
                loss = plusx.nn.CrossEntropyLoss(label_smoothing=0.1)(model(x), target)
                loss.backward()
                optimizer.step()
        losses.append(loss)
        networks.append(model)
    native, handmade = networks
    torch.testing.assert_close(losses[1], losses[0])
    for (name, ours), torchs in zip(handmade.named_parameters(), native.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, torchs.grad, msg=lambda m, name=name: f"{name}: {m}")
        assert not ours.requires_grad or ours.grad.any(), f"{name} got no gradient"
    torch.testing.assert_close(dict(handmade.state_dict()), dict(native.state_dict()))


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_a_network_on_handmade_uses_no_kernel_of_torchs_layers(build, nodes):
    x, target = torch.randn(2, 3, 16, 16), torch.tensor([0, 1])
    with plusx.engine("handmade"):
        loss = plusx.nn.CrossEntropyLoss()(build()(x), target)
    ours = torch.autograd.function.BackwardCFunction
    names = {node.name() for node in nodes(loss) if not isinstance(node, ours)}
    layers = ("Convolution", "BatchNorm", "Addmm", "Relu", "Pool", "LogSoftmax", "NllLoss", "CrossEntropy")
    assert not [name for name in names if any(layer in name for layer in layers)]
