"""The convolution layer (lesson: 卷积层)."""

import torch
from torch import Tensor

from plusx import ops
from plusx.ops.shape import IntOrPair, Padding, Pair


class Conv2d(torch.nn.Conv2d):
    """`O[y,x,c] = Σ_i Σ_j Σ_d W[i,j,d,c] · I[y·s+i, x·s+j, d] + b[c]` as a layer (lesson: 卷积公式).

    Takes the arguments of `torch.nn.Conv2d` and holds the same state: `weight` of shape
    (C_out, C_in / groups, K_h, K_w) and, unless `bias=False`, `bias` of shape (C_out,).

    Args:
        in_channels: C_in.
        out_channels: C_out.
        kernel_size: K, one number or (vertical, horizontal).
        stride: s, the same.
        padding: P, the same, or "valid" or "same"; "same" takes strides too, and ceil(H / s) rows come out.
        dilation: the distance between the kernel's taps.
        groups: into how many the channels are split.
        bias: whether to add b.
        padding_mode: "zeros", the lesson's 边缘补零, and nothing else.
        device: where the state lies.
        dtype: its type.
        engine: "reference", "handmade" or "native"; None leaves the choice to the surroundings.

    Raises:
        ValueError: for another `padding_mode`, or numbers that torch refuses.

    Shapes: (N, C_in, H, W) → (N, C_out, H_out, W_out), see `plusx.ops.output_size`.

    >>> Conv2d(3, 64, 3, bias=False).weight.numel()  # the lesson's 3×3×3×64
    1728
    """

    stride: Pair
    padding: Pair | str
    dilation: Pair

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: Padding = 0,
        dilation: IntOrPair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        engine: str | None = None,
    ) -> None:
        """Build the layer; see the class for the arguments."""
        if padding_mode != "zeros":
            raise ValueError(f"padding_mode must be 'zeros', not {padding_mode!r}")
        # torch refuses Same with a stride; the arithmetic here does not, so torch is not told.
        known = 0 if padding == "same" else padding
        sizes = (in_channels, out_channels, kernel_size, stride, known, dilation, groups)
        super().__init__(*sizes, bias, device=device, dtype=dtype)
        if padding == "same":
            self.padding = "same"
        self.engine = engine

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C_in, H, W) into (N, C_out, H_out, W_out)."""
        geometry = self.stride, self.padding, self.dilation, self.groups
        return ops.conv2d(x, self.weight, self.bias, *geometry, engine=self.engine)
