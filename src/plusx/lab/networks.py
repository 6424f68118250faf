"""The small networks that several experiments train: as alike as possible but for what is being asked.

Each takes pictures of 32×32 and gives ten logits; `nn.Sequential` all the way, so that printing one tells
everything about it.
"""

from plusx import nn


def fully_connected(hidden: int = 512) -> nn.Sequential:
    """Two hidden layers: 1.8 million parameters at 512 units.

    >>> sum(p.numel() for p in fully_connected().parameters())
    1841162
    """
    return nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(3 * 32 * 32, hidden), nn.ReLU()),
        *(nn.Linear(hidden, hidden), nn.ReLU()),
        nn.Linear(hidden, 10),
    )


def unit(in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution that keeps the size (divided by the stride), normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


def features() -> list[nn.Module]:
    """Three 3×3 convolutions, each followed by 2×2 max pooling: 3×32×32 → 64×4×4."""
    return [
        *(unit(3, 16), nn.MaxPool2d(2)),
        *(unit(16, 32), nn.MaxPool2d(2)),
        *(unit(32, 64), nn.MaxPool2d(2)),
    ]


def convolutional() -> nn.Sequential:
    """`features`, global average pooling, one linear layer.

    >>> sum(p.numel() for p in convolutional().parameters())
    24346
    """
    return nn.Sequential(*features(), nn.GlobalAvgPool2d(), nn.Flatten(), nn.Linear(64, 10))
