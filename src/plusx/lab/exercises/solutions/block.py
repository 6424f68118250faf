"""作业三 手撕残差块 · Homework 3a: the residual blocks by hand.

Fill the holes and run this file, or `plusx lab exercise block`: it says what is right and what is not.
填好每个空，然后运行本文件（或 `plusx lab exercise block`），它会告诉你哪里对、哪里不对。

Use torch.nn's layers, and these names for them, so that public weights load:
conv1, bn1, conv2, bn2 (and conv3, bn3 in the bottleneck), downsample. Convolutions have no bias.
"""

from torch import Tensor, nn


class BasicBlock(nn.Module):
    """y = relu(F(x) + x), F(x) = bn2(conv2(relu(bn1(conv1(x))))); both convolutions 3×3.

    The stride is the first convolution's. downsample, where given, is applied to x on the shortcut.
    步长在第一个卷积上；若给出 downsample，捷径上的 x 要先经过它。
    """

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, downsample: nn.Module | None = None
    ) -> None:
        """in_channels → channels."""
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """y = relu(F(x) + x)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(y)) + shortcut).relu()


class Bottleneck(nn.Module):
    """y = relu(F(x) + x); F: 1×1 to `channels`, 3×3 with the stride, 1×1 to 4 · channels; norm after each.

    每个卷积之后都有批归一化；前两个之后有 ReLU。
    """

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, downsample: nn.Module | None = None
    ) -> None:
        """in_channels → 4 · channels."""
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """y = relu(F(x) + x)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        return (self.bn3(self.conv3(y)) + shortcut).relu()


if __name__ == "__main__":
    from plusx.lab.exercises import main

    main("block", __file__)
