"""The fast net: whitening that decorrelates, a start near the identity, what is trained and what is not."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import plusx
from plusx import ops
from plusx.models import FastNet, create_model
from plusx.models.fast import Whiten

EPS = 5e-4


@pytest.fixture
def pictures() -> torch.Tensor:
    """Neighbouring pixels and channels that are alike, as in photographs; the mean is not exactly 0."""
    noise = torch.randn(20, 3, 12, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    smooth = nn.functional.avg_pool2d(noise, 3, stride=1)
    return smooth + smooth.mean(1, keepdim=True) + 0.1


def patches_of(pictures: torch.Tensor) -> np.ndarray:
    """All 2×2 patches as rows of 12 numbers in the order of a kernel: channel, row, column."""
    array = pictures.numpy()
    return np.array(
        [
            array[n, :, y : y + 2, x : x + 2].ravel()
            for n in range(array.shape[0])
            for y in range(array.shape[2] - 1)
            for x in range(array.shape[3] - 1)
        ]
    )


def test_whitened_patches_are_uncorrelated_with_variance_eig_over_eig_plus_eps(pictures):
    whiten = Whiten().double()
    whiten.fit(pictures, eps=EPS)
    rows = patches_of(pictures)
    eigenvalues = np.linalg.eigvalsh(rows.T @ rows / len(rows))[::-1]
    outputs = rows @ whiten.conv.weight.detach().flatten(1).numpy().T
    second_moments = outputs.T @ outputs / len(rows)
    np.testing.assert_allclose(
        second_moments[:12, :12], np.diag(eigenvalues / (eigenvalues + EPS)), atol=1e-9
    )
    np.testing.assert_array_equal(outputs[:, 12:], -outputs[:, :12])


def test_whitening_keeps_the_size_and_sees_zeros_below_and_to_the_right(pictures):
    whiten = Whiten().double()
    whiten.fit(pictures)
    y = whiten(pictures)
    assert y.shape == (20, 24, *pictures.shape[2:])
    padded = nn.functional.pad(pictures, (0, 1, 0, 1))
    torch.testing.assert_close(y, nn.functional.conv2d(padded, whiten.conv.weight))


def test_fitting_the_net_sets_its_first_layer_alone(pictures):
    net = FastNet().double()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.fit_input(pictures)
    changed = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"whiten.conv.weight"}


def test_convolutions_begin_by_copying_their_input():
    net = FastNet()
    shrinks = (net.shrink1, net.shrink2, net.shrink3)
    for conv in (*(part.conv for part in shrinks), net.block1.conv1, net.block2.conv1, net.block3.conv1):
        x = torch.randn(1, conv.in_channels, 4, 4)
        torch.testing.assert_close(conv(x)[:, : conv.in_channels], x)


def test_before_training_all_classes_are_equally_likely():
    loss = nn.functional.cross_entropy(
        create_model("fast")(torch.randn(4, 3, 32, 32)), torch.tensor([0, 1, 2, 9])
    )
    assert loss.item() == pytest.approx(math.log(10))


def test_first_layer_and_scales_are_not_trained():
    fixed = {name for name, parameter in FastNet().named_parameters() if not parameter.requires_grad}
    norms = {f"shrink{i}.bn.weight" for i in (1, 2, 3)} | {
        f"block{i}.{bn}.weight" for i in (1, 2, 3) for bn in ("bn1", "bn2")
    }
    assert fixed == {"whiten.conv.weight"} | norms


@pytest.mark.parametrize("size", [8, 24, 32, 33])
def test_any_size_from_8_on_works(size):
    assert FastNet(num_classes=3)(torch.randn(2, 3, size, size)).shape == (2, 3)


def test_blocks_are_residual_and_in_the_plain_twin_are_not():
    x = torch.rand(1, 128, 4, 4)
    for residual in (True, False):
        block = FastNet(residual=residual).block2.eval()
        nn.init.zeros_(block.bn2.weight)
        torch.testing.assert_close(block(x), nn.functional.hardswish(x) if residual else torch.zeros_like(x))


def test_a_handmade_step_calls_none_of_torchs_layers() -> None:
    called: set[str] = set()

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            called.add(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    net = create_model("fast", num_classes=10).to(memory_format=torch.channels_last)
    pictures = torch.randn(40, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with plusx.engine("handmade"), Recorder():
        ops.cross_entropy(net(pictures), torch.arange(40) % 10, label_smoothing=0.2).backward()
    assert {"convolve", "weight_gradient"} <= called
    layers = ("conv", "pool", "norm", "linear", "addmm", "log_softmax", "nll_loss", "relu", "threshold")
    of_torch = called - {"convolve"}
    assert [name for name in sorted(of_torch) if any(layer in name for layer in layers)] == []
