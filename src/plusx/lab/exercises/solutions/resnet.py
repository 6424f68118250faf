"""作业三 手撕ResNet · Homework 3b: a whole ResNet by hand.

Fill the holes and run this file, or `plusx lab exercise resnet`: it says what is right and what is not.
填好每个空，然后运行本文件（或 `plusx lab exercise resnet`），它会告诉你哪里对、哪里不对。

Public weights have to fit: conv1, bn1, layer1 … layer4 (each an nn.Sequential of blocks), fc; in a block conv1,
bn1, conv2, bn2, and downsample = nn.Sequential(1×1 convolution, batch norm) where the shapes differ.
"""

from torch import Tensor, nn

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class BasicBlock(nn.Module):
    """y = relu(F(x) + x), as in the exercise `block`; this one makes its downsample itself."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        """in_channels → channels."""
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != channels:
            projection = nn.Conv2d(in_channels, channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """y = relu(F(x) + x)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(y)) + shortcut).relu()


class ResNet(nn.Module):
    """ResNet-18 or 34 for pictures of 224×224 and 1 000 classes.

    7×7 convolution of stride 2 to 64 channels, norm, ReLU, 3×3 max pooling of stride 2 (padding 1); four stages
    of 64, 128, 256 and 512 channels, all but the first halving the map; global average pooling; a linear layer.
    四个阶段，除第一个外，每个阶段的第一个块步长为 2。
    """

    def __init__(self, depth: int, num_classes: int = 1000) -> None:
        """Depth 18 or 34."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = 64
        for number, (width, blocks) in enumerate(zip((64, 128, 256, 512), BLOCKS[depth], strict=True), 1):
            stage = [BasicBlock(channels, width, stride=1 if number == 1 else 2)]
            stage += [BasicBlock(width, width, stride=1) for _ in range(blocks - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*stage))
            channels = width
        self.fc = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) → (N, num_classes)."""
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        for number in (1, 2, 3, 4):
            x = self.get_submodule(f"layer{number}")(x)
        return self.fc(x.mean((2, 3)))


if __name__ == "__main__":
    from plusx.lab.exercises import main

    main("resnet", __file__)
