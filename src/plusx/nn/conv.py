"""The convolution layer (lesson: 卷积层)."""

from typing import Any

import torch
from torch import Tensor

from plusx import ops


class Conv2d(torch.nn.Conv2d):
    """`O[y,x,c] = Σ_i Σ_j Σ_d W[i,j,d,c] · I[y·s+i, x·s+j, d] + b[c]` as a layer (lesson: 卷积公式).

    Takes the arguments of `torch.nn.Conv2d` and holds the same state: `weight` of shape
    (C_out, C_in / groups, K_h, K_w) and, unless `bias=False`, `bias` of shape (C_out,).

    Args:
        *args: as `torch.nn.Conv2d`: in_channels, out_channels, kernel_size, stride, padding, dilation, groups, …
        engine: "reference", "handmade" or "native"; None leaves the choice to the surroundings.
        **kwargs: as `torch.nn.Conv2d`.

    Raises:
        ValueError: if `padding_mode` is not "zeros"; the lesson's padding is zeros (边缘补零).

    Shapes:
        (N, C_in, H, W) → (N, C_out, H_out, W_out), see `plusx.ops.output_size`. With padding "same", strides
        are allowed too: the output then has ceil(H / S) rows.

    >>> Conv2d(3, 64, 3, bias=False).weight.numel()  # the lesson's 3×3×3×64
    1728
    """

    def __init__(self, *args: Any, engine: str | None = None, **kwargs: Any) -> None:
        """Build the layer; see the class for the arguments."""
        same = kwargs.get("padding") == "same" or (len(args) > 4 and args[4] == "same")
        if same:
            # torch refuses Same with a stride; the arithmetic here does not, so the layer takes over the padding.
            args, kwargs = (*args[:4], 0, *args[5:]), {k: v for k, v in kwargs.items() if k != "padding"}
        super().__init__(*args, **kwargs)
        if self.padding_mode != "zeros":
            raise ValueError(f"padding_mode must be 'zeros', not {self.padding_mode!r}")
        if same:
            self.padding = "same"
        self.engine = engine

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C_in, H, W) into (N, C_out, H_out, W_out)."""
        return ops.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups, engine=self.engine
        )
