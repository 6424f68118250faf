"""The fully connected layer (lesson: 全连接网络)."""

import torch
from torch import Tensor

from plusx import ops


class Linear(torch.nn.Linear):
    """`y = x · Wᵀ + b`; the arguments and state of `torch.nn.Linear`: `weight` (out, in) and `bias` (out,).

    Args:
        in_features: numbers that come in.
        out_features: numbers that go out.
        bias: whether to add b.
        device: where the state lies.
        dtype: its type.
        engine: "reference", "handmade" or "native"; None leaves the choice to the surroundings.

    Shapes: (…, in_features) → (…, out_features).

    >>> Linear(150_528, 1_000, bias=False, device="meta").weight.numel()  # the lesson's 1.5亿
    150528000
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        engine: str | None = None,
    ) -> None:
        """Build the layer; see the class for the arguments."""
        super().__init__(in_features, out_features, bias, device, dtype)
        self.engine = engine

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, in_features) to (…, out_features)."""
        return ops.linear(x, self.weight, self.bias, engine=self.engine)
