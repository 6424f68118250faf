"""The pooling layers (lesson: 池化层). None of them holds any state."""

from typing import Any

import torch
from torch import Tensor

from plusx import ops


class MaxPool2d(torch.nn.MaxPool2d):
    """`O[y,x,c] = max_{0≤i,j<K} I[y·s+i, x·s+j, c]` (lesson: 最大池化); the arguments of `torch.nn.MaxPool2d`.

    Shapes: (N, C, H, W) → (N, C, H_out, W_out), see `plusx.ops.output_size`.

    Raises:
        ValueError: if `return_indices` is asked for, which only unpooling needs.

    >>> grid = torch.tensor([[1., 4, 2, 8], [3, 9, 5, 7], [2, 6, 4, 1], [5, 3, 7, 2]])
    >>> MaxPool2d(2)(grid[None, None]).squeeze().tolist()
    [[9.0, 8.0], [6.0, 7.0]]
    """

    def __init__(self, *args: Any, engine: str | None = None, **kwargs: Any) -> None:
        """Build the layer; `engine` None leaves the choice to the surroundings."""
        super().__init__(*args, **kwargs)
        if self.return_indices:
            raise ValueError("plusx.nn.MaxPool2d does not return indices; use torch.nn.MaxPool2d for unpooling")
        self.engine = engine

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, H, W) into (N, C, H_out, W_out)."""
        return ops.max_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, engine=self.engine
        )


class AvgPool2d(torch.nn.AvgPool2d):
    """`O[y,x,c] = 1/K² Σ_i Σ_j I[y·s+i, x·s+j, c]` (lesson: 平均池化); the arguments of `torch.nn.AvgPool2d`.

    Shapes: (N, C, H, W) → (N, C, H_out, W_out), see `plusx.ops.output_size`.

    Raises:
        ValueError: if `divisor_override` is asked for: then it is no average any more.

    >>> AvgPool2d(2)(torch.arange(4.0).reshape(1, 1, 2, 2)).item()
    1.5
    """

    def __init__(self, *args: Any, engine: str | None = None, **kwargs: Any) -> None:
        """Build the layer; `engine` None leaves the choice to the surroundings."""
        super().__init__(*args, **kwargs)
        if self.divisor_override is not None:
            raise ValueError("plusx.nn.AvgPool2d has no divisor_override; scale the output instead")
        self.engine = engine

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, H, W) into (N, C, H_out, W_out)."""
        return ops.avg_pool2d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            engine=self.engine,
        )


class GlobalAvgPool2d(torch.nn.Module):
    """The mean of each whole feature map (lesson: 全局池化): (N, C, H, W) → (N, C, 1, 1).

    >>> GlobalAvgPool2d()(torch.ones(2, 3, 8, 8)).shape
    torch.Size([2, 3, 1, 1])
    """

    def __init__(self, *, engine: str | None = None) -> None:
        """Build the layer; `engine` None leaves the choice to the surroundings."""
        super().__init__()
        self.engine = engine

    def forward(self, x: Tensor) -> Tensor:
        """Squeeze every map to its mean."""
        return ops.global_avg_pool2d(x, engine=self.engine)


class GlobalMaxPool2d(torch.nn.Module):
    """The maximum of each whole feature map (lesson: 全局池化): (N, C, H, W) → (N, C, 1, 1).

    >>> GlobalMaxPool2d()(torch.eye(3)[None, None]).item()
    1.0
    """

    def __init__(self, *, engine: str | None = None) -> None:
        """Build the layer; `engine` None leaves the choice to the surroundings."""
        super().__init__()
        self.engine = engine

    def forward(self, x: Tensor) -> Tensor:
        """Squeeze every map to its maximum."""
        return ops.global_max_pool2d(x, engine=self.engine)


class AdaptiveAvgPool2d(GlobalAvgPool2d):
    """Global average pooling under the name that models written for `torch.nn` use: `AdaptiveAvgPool2d(1)`.

    Raises:
        ValueError: for any output size but 1.

    >>> AdaptiveAvgPool2d((1, 1))(torch.ones(2, 3, 8, 8)).shape
    torch.Size([2, 3, 1, 1])
    """

    def __init__(self, output_size: int | tuple[int, int] = 1, *, engine: str | None = None) -> None:
        """Build the layer; `engine` None leaves the choice to the surroundings."""
        super().__init__(engine=engine)
        if output_size not in (1, (1, 1)):
            raise ValueError(f"plusx.nn.AdaptiveAvgPool2d pools to 1×1 only, not to {output_size}")
