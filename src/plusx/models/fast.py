"""The fast CIFAR net: residual, shallow, wide, and spending its multiply-adds where the processor is quick.

    picture                                   3×32×32
    whiten    2×2 convolution, fixed         24×32×32   the ± principal directions of the training patches
    shrink 1  3×3 convolution, max pool 2    64×16×16   then a residual block
    shrink 2  3×3 convolution, max pool 2   128×8×8     then a residual block
    shrink 3  3×3 convolution, max pool 2   256×4×4     then a residual block
    head      global max pool, linear        10

Each step halves the map and doubles the width, so a block costs the same wherever it stands. The first one,
with 4 % of the parameters and 17 % of the multiply-adds, looks dispensable and is not.

What it learned from others: the whitened first layer and the identity-like start are hlb-CIFAR10's (2023) and
airbench94's (Jordan 2024, arXiv 2404.00498); the residual blocks on a narrowing net are D. Page's (2018). Its
activation has a smooth knee, as theirs has: hard swish (Howard et al. 2019, arXiv 1905.02244), which needs no
exponential. `fast-relu` is the same network with the lesson's ReLU, `fast-wide` has twice the channels.
Pooling before the blocks, two convolutions under each shortcut and training on smaller pictures first (see
recipe `accurate`) are this project's.
"""

from typing import ClassVar

import torch
from torch import Tensor

from plusx import nn, ops
from plusx.models.blocks import BasicBlock, conv3x3


class Whiten(nn.Module):
    """A fixed 2×2 convolution into 24 channels of equal variance; zeros below and to the right keep the size.

    Its first 12 filters are the eigenvectors of the covariance of 2×2 patches, each divided by the square
    root of its eigenvalue, so that their outputs are uncorrelated; the other 12 are their negatives, so that
    the ReLU after it loses nothing.

    Shapes: (N, 3, H, W) → (N, 24, H, W).

    >>> Whiten()(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 24, 32, 32])
    """

    def __init__(self) -> None:
        """Build the layer with random filters; `fit` replaces them."""
        super().__init__()
        self.conv = nn.Conv2d(3, 24, kernel_size=2, padding="same", bias=False)
        self.conv.weight.requires_grad_(False)

    @torch.no_grad()
    def fit(self, pictures: Tensor, eps: float = 5e-4) -> None:
        """Set the filters from pictures (N, 3, H, W) of mean 0; `eps` keeps faint directions faint."""
        patches = pictures.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12).double()
        covariance = patches.T @ patches / len(patches)
        eigenvalues, eigenvectors = torch.linalg.eigh(covariance)  # columns, smallest eigenvalue first
        filters = (eigenvectors / torch.sqrt(eigenvalues + eps)).T.flip(0).reshape(12, 3, 2, 2)
        self.conv.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, x: Tensor) -> Tensor:
        """Whiten."""
        return self.conv(x)


class Shrink(nn.Module):
    """`f(bn(max_pool(conv(x))))`: half the size, another width; f is an activation.

    Shapes: (N, in_channels, H, W) → (N, out_channels, H // 2, W // 2).

    >>> Shrink(24, 64)(torch.zeros(2, 24, 32, 32)).shape
    torch.Size([2, 64, 16, 16])
    """

    def __init__(self, in_channels: int, out_channels: int, activation: ops.Activation = "hardswish") -> None:
        """Build the layers."""
        super().__init__()
        self.activation = activation
        self.conv = conv3x3(in_channels, out_channels)
        self.pool = nn.MaxPool2d(2)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Pool before normalising: a quarter of the pixels is left to normalise."""
        return self.bn(self.pool(self.conv(x)), activation=self.activation)


class FastNet(nn.Module):
    """See the module. Pictures down to 8×8 work too, since the head pools globally.

    Args:
        num_classes: the number of logits.
        residual: False builds the plain twin.
        activation: follows every normalisation.
        width: channels of the first block; the second has twice, the third four times as many.

    Shapes: (N, 3, H, W), made for H = W = 32 → logits (N, num_classes).

    >>> FastNet()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    input_size = 32
    stages: ClassVar[dict[str, tuple[str, ...]]] = {
        "stem": ("whiten", "relu"),
        "stage1": ("shrink1", "block1"),
        "stage2": ("shrink2", "block2"),
        "stage3": ("shrink3", "block3"),
    }

    def __init__(
        self,
        num_classes: int = 10,
        residual: bool = True,
        activation: ops.Activation = "hardswish",
        width: int = 64,
    ) -> None:
        """Build and initialise the network."""
        super().__init__()
        first, second, third = width, 2 * width, 4 * width
        self.whiten = Whiten()
        self.relu = nn.ReLU()
        self.shrink1 = Shrink(24, first, activation)
        self.block1 = BasicBlock(first, first, residual=residual, activation=activation)
        self.shrink2 = Shrink(first, second, activation)
        self.block2 = BasicBlock(second, second, residual=residual, activation=activation)
        self.shrink3 = Shrink(second, third, activation)
        self.block3 = BasicBlock(third, third, residual=residual, activation=activation)
        self.pool = nn.GlobalMaxPool2d()
        self.linear = nn.Linear(third, num_classes, bias=False)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        """Begin close to the identity: the k-th output channel starts as a copy of the k-th input channel."""
        shrinks = (self.shrink1, self.shrink2, self.shrink3)
        blocks = (self.block1, self.block2, self.block3)
        for conv in (*(shrink.conv for shrink in shrinks), *(block.conv1 for block in blocks)):
            torch.nn.init.dirac_(conv.weight[: conv.in_channels])
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                # As in airbench94: the shift is trained, the scale stays 1.
                layer.weight.requires_grad_(False)
                layer.momentum = 0.3  # training is short: the running statistics have to keep up
        torch.nn.init.zeros_(self.linear.weight)

    def fit_input(self, pictures: Tensor) -> None:
        """Adapt the fixed first layer to training pictures (N, 3, H, W), before the first step."""
        self.whiten.fit(pictures)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures to logits."""
        x = self.relu(self.whiten(x))
        x = self.block1(self.shrink1(x))
        x = self.block2(self.shrink2(x))
        x = self.block3(self.shrink3(x))
        return self.linear(self.pool(x).flatten(1))
