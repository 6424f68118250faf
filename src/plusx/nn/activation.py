"""The activation of every network here."""

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
