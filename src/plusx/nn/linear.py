"""The fully connected layer (lesson: 全连接网络)."""

from typing import Any

import torch
from torch import Tensor

from plusx import ops


class Linear(torch.nn.Linear):
    """`y = x · Wᵀ + b`; the arguments and state of `torch.nn.Linear`: `weight` (out, in) and `bias` (out,).

    Shapes: (…, in_features) → (…, out_features).

    >>> Linear(150_528, 1_000, bias=False, device="meta").weight.numel()  # the lesson's 1.5亿
    150528000
    """

    def __init__(self, *args: Any, engine: str | None = None, **kwargs: Any) -> None:
        """Build the layer; `engine` None leaves the choice to the surroundings."""
        super().__init__(*args, **kwargs)
        self.engine = engine

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, in_features) to (…, out_features)."""
        return ops.linear(x, self.weight, self.bias, engine=self.engine)
