"""The paper's networks for 32×32 pictures: ResNet-20, 32, 44, 56, 110 (He et al. 2015, section 4.2).

State names are `conv1, bn1, layer1 … layer3, linear`, so that public CIFAR checkpoints load unchanged.
"""

from typing import ClassVar

from torch import Tensor

from plusx import nn
from plusx.models.blocks import BasicBlock, conv3x3, he_initialise, stage

DEPTHS = (20, 32, 44, 56, 110)


class CifarResNet(nn.Module):
    """6n + 2 layers: a 3×3 stem, three stages of n blocks with 16, 32 and 64 channels, one linear layer.

    Args:
        depth: 6n + 2, such as 20, 32, 44, 56 or 110.
        num_classes: the number of logits.
        residual: False builds the plain twin.
        option: shortcut "A" (parameter-free, the paper's choice for CIFAR-10) or "B" (projection).

    Raises:
        ValueError: if depth is not 6n + 2.

    Shapes: (N, 3, H, W), made for H = W = 32 → logits (N, num_classes).

    >>> sum(p.numel() for p in CifarResNet(20).parameters())
    269722
    """

    input_size = 32
    stages: ClassVar[dict[str, tuple[str, ...]]] = {
        "stem": ("conv1", "bn1"),
        "stage1": ("layer1",),
        "stage2": ("layer2",),
        "stage3": ("layer3",),
    }

    def __init__(self, depth: int, num_classes: int = 10, residual: bool = True, option: str = "A") -> None:
        """Build and initialise the network."""
        super().__init__()
        n, remainder = divmod(depth - 2, 6)
        if n < 1 or remainder:
            raise ValueError(f"a CIFAR ResNet has 6n + 2 layers (20, 32, 44, 56, 110, …), not {depth}")
        self.conv1 = conv3x3(3, 16)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = stage(BasicBlock, 16, 16, n, stride=1, option=option, residual=residual)
        self.layer2 = stage(BasicBlock, 16, 32, n, stride=2, option=option, residual=residual)
        self.layer3 = stage(BasicBlock, 32, 64, n, stride=2, option=option, residual=residual)
        self.avgpool = nn.GlobalAvgPool2d()
        self.linear = nn.Linear(64, num_classes)
        he_initialise(self, mode="fan_in")

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures to logits."""
        x = self.bn1(self.conv1(x), activation="relu")
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(self.avgpool(x).flatten(1))
