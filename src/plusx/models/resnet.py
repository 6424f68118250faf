"""ResNet-18, 34, 50, 101 and 152 for ImageNet's pictures (He et al. 2015, table 1; lesson: ResNet变体).

State names equal torchvision's (`conv1, bn1, layer1.0.conv1, …, layer2.0.downsample.0, …, fc`), so that its
weights load unchanged.
"""

from typing import ClassVar

from torch import Tensor

from plusx import nn
from plusx.models.blocks import BasicBlock, Bottleneck, he_initialise, stage

# Layers in the name = 1 (stem) + blocks × (2 or 3 convolutions) + 1 (fully connected).
DEPTHS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


class ResNet(nn.Module):
    """A stem that shrinks the picture fourfold, four stages, global average pooling, one linear layer.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_classes: the number of logits.
        residual: False builds the plain twin.

    Raises:
        ValueError: for another depth.

    Shapes: (N, 3, H, W), made for H = W = 224 → logits (N, num_classes).

    >>> sum(p.numel() for p in ResNet(18).parameters())
    11689512
    """

    input_size = 224
    stages: ClassVar[dict[str, tuple[str, ...]]] = {
        "stem": ("conv1", "bn1", "maxpool"),
        "stage1": ("layer1",),
        "stage2": ("layer2",),
        "stage3": ("layer3",),
        "stage4": ("layer4",),
    }

    def __init__(self, depth: int, num_classes: int = 1000, residual: bool = True) -> None:
        """Build and initialise the network."""
        super().__init__()
        if depth not in DEPTHS:
            raise ValueError(f"an ImageNet ResNet has {', '.join(map(str, DEPTHS))} layers, not {depth}")
        block, blocks = DEPTHS[depth]
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        wide = block.expansion
        self.layer1 = stage(block, 64, 64, blocks[0], stride=1, residual=residual)
        self.layer2 = stage(block, 64 * wide, 128, blocks[1], stride=2, residual=residual)
        self.layer3 = stage(block, 128 * wide, 256, blocks[2], stride=2, residual=residual)
        self.layer4 = stage(block, 256 * wide, 512, blocks[3], stride=2, residual=residual)
        self.avgpool = nn.GlobalAvgPool2d()
        self.fc = nn.Linear(512 * wide, num_classes)
        he_initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures to logits."""
        x = self.maxpool(self.bn1(self.conv1(x), activation="relu"))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))
