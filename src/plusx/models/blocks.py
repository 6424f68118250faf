"""The building blocks: `y = F(x) + x`, and the same layers without the `+ x` (lesson: 残差学习).

One switch, `residual`, turns a block into its plain twin: the same layers in the same order, and no shortcut.
"""

from typing import Literal

import torch
from torch import Tensor

from plusx import nn, ops


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A 3×3 convolution that keeps the size at stride 1; no bias, since a batch norm follows."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)


def conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A 1×1 convolution: a linear map of the channels at every position."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Shortcut B: a learned 1×1 convolution that matches channels and size (He et al. 2015, section 3.3)."""
    return nn.Sequential(conv1x1(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels))


class SubsampleAndPad(nn.Module):
    """Shortcut A: every `stride`-th pixel and zeros in the new channels (He et al. 2015, section 3.3).

    It has no parameters. Half of the new channels come before the old ones and half after, as public CIFAR
    checkpoints expect.

    Shapes: (N, C_in, H, W) → (N, C_out, ceil(H / stride), ceil(W / stride)).

    >>> SubsampleAndPad(16, 32, stride=2)(torch.ones(1, 16, 32, 32)).shape
    torch.Size([1, 32, 16, 16])
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        """Remember how many channels to add and which pixels to keep."""
        super().__init__()
        self.out_channels = out_channels
        self.before = (out_channels - in_channels) // 2
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Subsample, then widen with zeros."""
        kept = x[:, :, :: self.stride, :: self.stride]
        n, _, h, w = kept.shape
        after = self.out_channels - self.before - kept.shape[1]
        return torch.cat([kept.new_zeros(n, self.before, h, w), kept, kept.new_zeros(n, after, h, w)], dim=1)


class Block(nn.Module):
    """What the two blocks share: `y = relu(F(x) + shortcut(x))`, or `relu(F(x))` in the plain twin.

    F ends with a normalisation, which adds the shortcut and activates in the same pass: so `transform`, the
    one method that a block has to define, is told both.

    Args:
        downsample: matches x to F(x) where their shapes differ; None is the identity, the lesson's `+1`.
        residual: False leaves the shortcut out.
        activation: what stands in the place of relu.
    """

    def __init__(
        self, downsample: nn.Module | None, residual: bool, activation: ops.Activation = "relu"
    ) -> None:
        """Keep the shortcut only where there is one."""
        super().__init__()
        self.residual = residual
        self.activation = activation
        self.downsample = downsample if residual else None

    def transform(
        self, x: Tensor, added: Tensor | None = None, activation: ops.Activation = "identity"
    ) -> Tensor:
        """F(x), what the block learns (lesson: 残差 F(x) = H(x) − x), or `activation(F(x) + added)`."""
        raise NotImplementedError

    def shortcut(self, x: Tensor) -> Tensor:
        """The input x, matched in shape."""
        return x if self.downsample is None else self.downsample(x)

    def forward(self, x: Tensor) -> Tensor:
        """`relu(F(x) + x)`, or `relu(F(x))` without the shortcut."""
        shortcut = self.shortcut(x) if self.residual else None
        return self.transform(x, added=shortcut, activation=self.activation)


class BasicBlock(Block):
    """Two 3×3 convolutions (He et al. 2015, figure 5 left).

    Shapes: (N, in_channels, H, W) → (N, channels, ceil(H / stride), ceil(W / stride)).

    >>> BasicBlock(64, 64)(torch.zeros(1, 64, 8, 8)).shape
    torch.Size([1, 64, 8, 8])
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        residual: bool = True,
        activation: ops.Activation = "relu",
    ) -> None:
        """Build the layers; the stride is the first convolution's."""
        super().__init__(downsample, residual, activation)
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)

    def transform(
        self, x: Tensor, added: Tensor | None = None, activation: ops.Activation = "identity"
    ) -> Tensor:
        """F(x) = bn2(conv2(relu(bn1(conv1(x)))))."""
        x = self.bn1(self.conv1(x), activation=self.activation)
        return self.bn2(self.conv2(x), added=added, activation=activation)


class Bottleneck(Block):
    """1×1 to narrow, 3×3, 1×1 to widen fourfold (He et al. 2015, figure 5 right).

    The stride sits on the 3×3, as in torchvision's weights ("v1.5"), not on the first 1×1 as in the paper.

    Shapes: (N, in_channels, H, W) → (N, 4 · channels, ceil(H / stride), ceil(W / stride)).

    >>> Bottleneck(256, 64)(torch.zeros(1, 256, 8, 8)).shape
    torch.Size([1, 256, 8, 8])
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        residual: bool = True,
    ) -> None:
        """Build the layers; the stride is the 3×3 convolution's."""
        super().__init__(downsample, residual)
        self.conv1 = conv1x1(in_channels, channels)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = conv1x1(channels, channels * self.expansion)
        self.bn3 = nn.BatchNorm2d(channels * self.expansion)

    def transform(
        self, x: Tensor, added: Tensor | None = None, activation: ops.Activation = "identity"
    ) -> Tensor:
        """F(x) = bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x))))))))."""
        x = self.bn1(self.conv1(x), activation=self.activation)
        x = self.bn2(self.conv2(x), activation=self.activation)
        return self.bn3(self.conv3(x), added=added, activation=activation)


def stage(
    block: type[BasicBlock] | type[Bottleneck],
    in_channels: int,
    channels: int,
    blocks: int,
    stride: int,
    *,
    option: str = "B",
    residual: bool = True,
) -> nn.Sequential:
    """A row of blocks at one width; the first one changes size and width, the others keep them.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        in_channels: channels that come in.
        channels: the stage's width; what comes out has `channels · block.expansion`.
        blocks: how many blocks, at least 1.
        stride: the first block's.
        option: shortcut "A" (parameter-free) or "B" (projection), where the shape changes.
        residual: False builds the plain twin.

    Raises:
        ValueError: for another option.
    """
    if option not in ("A", "B"):
        raise ValueError(f"shortcut option must be 'A' or 'B', not {option!r}")
    out_channels = channels * block.expansion
    downsample: nn.Module | None = None
    if residual and (stride != 1 or in_channels != out_channels):
        match_shape = SubsampleAndPad if option == "A" else projection
        downsample = match_shape(in_channels, out_channels, stride)
    first = block(in_channels, channels, stride, downsample, residual)
    rest = [block(out_channels, channels, residual=residual) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


def he_initialise(model: nn.Module, mode: Literal["fan_in", "fan_out"] = "fan_out") -> None:
    """Draw every kernel from N(0, 2 / fan): ReLU then keeps the variance (He et al. 2015, arXiv 1502.01852).

    Args:
        model: changed in place.
        mode: "fan_out" keeps the gradient's variance on the way back, "fan_in" the signal's on the way forth.
    """
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, mode=mode, nonlinearity="relu")
