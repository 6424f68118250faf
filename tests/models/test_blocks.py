"""`y = F(x) + x`: the shortcut, its gradient, its two options, and the plain twin without it."""

import numpy as np
import pytest
import torch
from torch import nn

from plusx.models import BasicBlock, Bottleneck, CifarResNet, create_model
from plusx.models.blocks import SubsampleAndPad, he_initialise, stage

BLOCKS = [(BasicBlock, "bn2"), (Bottleneck, "bn3")]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def build(kind: type[BasicBlock] | type[Bottleneck], residual: bool = True) -> nn.Module:
    """A block that keeps 8 channels and the size."""
    return kind(8, 8 // kind.expansion, residual=residual).double()


def picture() -> torch.Tensor:
    """Non-negative, as what comes out of a ReLU."""
    return torch.rand(2, 8, 5, 5, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("kind", "last"), BLOCKS)
def test_with_a_zero_residual_the_block_is_the_identity_and_the_gradient_unchanged(kind, last, training):
    """Lesson: ∂L/∂x = ∂L/∂y · (∂F/∂x + 1), so where F = 0 the +1 alone carries the gradient."""
    block, x = build(kind).train(training), picture()
    nn.init.zeros_(getattr(block, last).weight)
    y = block(x)
    assert torch.equal(y, x)
    gradient = torch.randn_like(x)
    (dx,) = torch.autograd.grad(y, x, gradient)
    assert torch.equal(dx, gradient)


@pytest.mark.parametrize(("kind", "last"), BLOCKS)
def test_the_plain_twin_loses_both_output_and_gradient_there(kind, last):
    block, x = build(kind, residual=False), picture()
    nn.init.zeros_(getattr(block, last).weight)
    y = block(x)
    (dx,) = torch.autograd.grad(y.sum(), x)
    assert not y.any()
    assert not dx.any()


@pytest.mark.parametrize(("kind", "last"), BLOCKS)
def test_the_gradient_is_that_of_the_residual_plus_one(kind, last):
    block, x = build(kind), picture()
    nn.init.constant_(getattr(block, last).bias, 10.0)  # keeps the last ReLU open
    gradient = torch.randn_like(x)
    (through_block,) = torch.autograd.grad(block(x), x, gradient)
    (through_residual,) = torch.autograd.grad(block.transform(x), x, gradient)
    torch.testing.assert_close(through_block, through_residual + gradient)


@pytest.mark.parametrize("kind", [BasicBlock, Bottleneck])
def test_a_block_is_its_layers_in_order(kind):
    x = picture()
    block, functional = build(kind), nn.functional
    pairs = [(block.conv1, block.bn1), (block.conv2, block.bn2)]
    if kind is Bottleneck:
        pairs.append((block.conv3, block.bn3))
    y = x
    for number, (conv, bn) in enumerate(pairs, start=1):
        kernel = 3 if kind is BasicBlock or number == 2 else 1
        assert conv.kernel_size == (kernel, kernel)
        y = functional.conv2d(y, conv.weight, padding=kernel // 2)
        y = functional.batch_norm(y, None, None, bn.weight, bn.bias, training=True)
        y = functional.relu(y) if number < len(pairs) else y
    torch.testing.assert_close(block(x), functional.relu(y + x))
    plain = build(kind, residual=False)
    plain.load_state_dict(build(kind).state_dict())
    torch.testing.assert_close(plain(x), functional.relu(plain.transform(x)))


def test_the_stride_of_a_bottleneck_is_the_middle_ones():
    block = Bottleneck(8, 4, stride=2)
    assert [conv.stride for conv in (block.conv1, block.conv2, block.conv3)] == [(1, 1), (2, 2), (1, 1)]


@pytest.mark.parametrize(
    ("channels", "wide", "stride", "size"), [(16, 32, 2, 8), (4, 9, 2, 5), (3, 3, 1, 4), (2, 5, 3, 7)]
)
def test_option_a_is_slicing_and_zeros(channels, wide, stride, size):
    x = torch.randn(2, channels, size, size, requires_grad=True)
    y = SubsampleAndPad(channels, wide, stride)(x)
    kept = x.detach().numpy()[:, :, ::stride, ::stride]
    before = (wide - channels) // 2
    expected = np.zeros((2, wide, *kept.shape[2:]), dtype=np.float32)
    expected[:, before : before + channels] = kept
    assert np.array_equal(y.detach().numpy(), expected)
    y.sum().backward()
    reached = np.zeros(x.shape, dtype=np.float32)
    reached[:, :, ::stride, ::stride] = 1
    assert np.array_equal(x.grad.numpy(), reached)


def test_option_a_adds_no_parameters_and_option_b_a_projection():
    a, b = CifarResNet(20), CifarResNet(20, option="B")
    extra = (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)  # 1×1 kernels with their batch norms
    assert sum(p.numel() for p in b.parameters()) == sum(p.numel() for p in a.parameters()) + extra
    for net in (a, b):
        blocks = [item for item in net.named_modules() if isinstance(item[1], BasicBlock)]
        matched = [name for name, block in blocks if block.downsample is not None]
        assert matched == ["layer2.0", "layer3.0"]
    conv, bn = b.layer2[0].downsample
    x = torch.randn(1, 16, 8, 8)
    every_second = x[:, :, ::2, ::2]
    projected = torch.einsum("oc,nchw->nohw", conv.weight[:, :, 0, 0], every_second)
    torch.testing.assert_close(b.layer2[0].shortcut(x), bn(projected))


def test_an_unknown_option_is_refused():
    with pytest.raises(ValueError, match="'C'"):
        CifarResNet(20, option="C")


@pytest.mark.parametrize("depth", [7, 19, 21, 2, 0])
def test_depths_that_are_not_6n_plus_2_are_refused(depth):
    with pytest.raises(ValueError, match=f"not {depth}"):
        CifarResNet(depth)


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "resnet50", "fast"])
def test_the_plain_twin_has_the_same_layers_and_no_shortcut(name):
    with torch.device("meta"):
        residual, plain = create_model(name), create_model(name, residual=False)
    layers = [(key, value.shape) for key, value in residual.state_dict().items() if "downsample" not in key]
    assert [(key, value.shape) for key, value in plain.state_dict().items()] == layers
    assert not any("downsample" in key for key, _ in plain.named_modules())
    assert {module.residual for module in plain.modules() if hasattr(module, "residual")} == {False}


def test_a_stage_changes_shape_once():
    row = stage(Bottleneck, 8, 4, blocks=3, stride=2)
    assert row(torch.randn(2, 8, 6, 6)).shape == (2, 16, 3, 3)
    assert [block.downsample is None for block in row] == [False, True, True]


@pytest.mark.parametrize(("mode", "fan"), [("fan_in", 64 * 9), ("fan_out", 128 * 9)])
def test_he_initialisation_has_variance_two_over_fan(mode, fan):
    conv = nn.Conv2d(64, 128, 3)
    he_initialise(nn.Sequential(conv), mode)
    assert conv.weight.var().item() == pytest.approx(2 / fan, rel=0.03)
    assert abs(conv.weight.mean().item()) < 4 * (2 / fan / conv.weight.numel()) ** 0.5
