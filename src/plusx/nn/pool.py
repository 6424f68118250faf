"""The pooling layers (lesson: 池化层). None of them holds any state."""

import torch
from torch import Tensor

from plusx import ops
from plusx.ops.shape import IntOrPair, Padding


class MaxPool2d(torch.nn.MaxPool2d):
    """`O[y,x,c] = max_{0≤i,j<K} I[y·s+i, x·s+j, c]` (lesson: 最大池化), as `torch.nn.MaxPool2d`.

    Args:
        kernel_size: K, one number or (vertical, horizontal).
        stride: s, the same; K if left out.
        padding: P, the same, or "valid" or "same"; padding never wins.
        dilation: the distance between the window's taps.
        return_indices: not here; only unpooling needs it.
        ceil_mode: round the output size up.
        engine: "reference", "handmade" or "native"; None leaves the choice to the surroundings.

    Raises:
        ValueError: if `return_indices` is asked for.

    Shapes: (N, C, H, W) → (N, C, H_out, W_out), see `plusx.ops.output_size`.

    >>> grid = torch.tensor([[1., 4, 2, 8], [3, 9, 5, 7], [2, 6, 4, 1], [5, 3, 7, 2]])
    >>> MaxPool2d(2)(grid[None, None]).squeeze().tolist()
    [[9.0, 8.0], [6.0, 7.0]]
    """

    def __init__(
        self,
        kernel_size: IntOrPair,
        stride: IntOrPair | None = None,
        padding: Padding = 0,
        dilation: IntOrPair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
        *,
        engine: str | None = None,
    ) -> None:
        """Build the layer; see the class for the arguments."""
        if return_indices:
            raise ValueError("MaxPool2d does not return indices here; use torch.nn.MaxPool2d for unpooling")
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode=ceil_mode)  # type: ignore[arg-type]
        self.engine = engine

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, H, W) into (N, C, H_out, W_out)."""
        return ops.max_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, engine=self.engine
        )


class AvgPool2d(torch.nn.AvgPool2d):
    """`O[y,x,c] = 1/K² Σ_i Σ_j I[y·s+i, x·s+j, c]` (lesson: 平均池化), as `torch.nn.AvgPool2d`.

    Args:
        kernel_size: K, one number or (vertical, horizontal).
        stride: s, the same; K if left out.
        padding: P, the same, or "valid" or "same".
        ceil_mode: round the output size up.
        count_include_pad: divide by the padding too, not only by the pixels of the picture.
        divisor_override: not here; with it the result would be no average.
        engine: "reference", "handmade" or "native"; None leaves the choice to the surroundings.

    Raises:
        ValueError: if `divisor_override` is asked for.

    Shapes: (N, C, H, W) → (N, C, H_out, W_out), see `plusx.ops.output_size`.

    >>> AvgPool2d(2)(torch.arange(4.0).reshape(1, 1, 2, 2)).item()
    1.5
    """

    def __init__(
        self,
        kernel_size: IntOrPair,
        stride: IntOrPair | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        engine: str | None = None,
    ) -> None:
        """Build the layer; see the class for the arguments."""
        if divisor_override is not None:
            raise ValueError("AvgPool2d has no divisor_override here; scale the output instead")
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)  # type: ignore[arg-type]
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


class AdaptiveAvgPool2d(torch.nn.AdaptiveAvgPool2d):
    """Global average pooling under the name that models written for `torch.nn` use: `AdaptiveAvgPool2d(1)`.

    Any other output size is torch's own arithmetic: the lesson has no such pooling.

    Raises:
        ValueError: if an engine is asked for with an output size other than 1.

    Shapes: (N, C, H, W) → `(N, C, *output_size)`.

    >>> AdaptiveAvgPool2d((1, 1))(torch.ones(2, 3, 8, 8)).shape
    torch.Size([2, 3, 1, 1])
    """

    def __init__(
        self, output_size: int | tuple[int | None, int | None] | None, *, engine: str | None = None
    ) -> None:
        """Build the layer; `engine` None leaves the choice to the surroundings."""
        super().__init__(output_size)
        self.is_global = output_size in (1, (1, 1))
        if engine is not None and not self.is_global:
            raise ValueError(f"AdaptiveAvgPool2d has engines for output size 1 only, not {output_size}")
        self.engine = engine

    def forward(self, x: Tensor) -> Tensor:
        """Average each map into output_size windows."""
        return ops.global_avg_pool2d(x, engine=self.engine) if self.is_global else super().forward(x)
