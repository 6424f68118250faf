"""The activations of the networks here."""

import torch
from torch import Tensor

from plusx import ops


class ReLU(torch.nn.ReLU):
    """`y = max(x, 0)`, any shape.

    `inplace` is taken, as in `torch.nn.ReLU`, so that models written for torch run; the output is always new.

    >>> ReLU()(torch.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __init__(self, inplace: bool = False, *, engine: str | None = None) -> None:
        """Build the layer; `engine` None leaves the choice to the surroundings."""
        super().__init__(inplace)
        self.engine = engine

    def forward(self, x: Tensor) -> Tensor:
        """Keep what is positive."""
        return ops.relu(x, engine=self.engine)


class Hardswish(torch.nn.Hardswish):
    """`y = x · min(max(x + 3, 0), 6) / 6`, any shape (arXiv 1905.02244).

    `inplace` is taken, as in `torch.nn.Hardswish`; the output is always new.

    >>> Hardswish()(torch.tensor([-4.0, 0.0, 3.0])).tolist()
    [-0.0, 0.0, 3.0]
    """

    def __init__(self, inplace: bool = False, *, engine: str | None = None) -> None:
        """Build the layer; `engine` None leaves the choice to the surroundings."""
        super().__init__(inplace)
        self.engine = engine

    def forward(self, x: Tensor) -> Tensor:
        """Let through what is large, stop what is very negative."""
        return ops.hardswish(x, engine=self.engine)
