"""The loss that every network here is trained with."""

import torch
from torch import Tensor

from plusx import ops
from plusx.ops.loss import Reduction


class CrossEntropyLoss(torch.nn.Module):
    """Softmax cross-entropy of logits (N, classes) against class indices (N,), with label smoothing.

    Unlike `torch.nn.CrossEntropyLoss` it takes its settings by name, and has no class weights, no class to
    ignore and no targets given as probabilities.

    Args:
        label_smoothing: the share of the target spread evenly over all classes, 0…1 (Szegedy et al. 2015).
        reduction: "mean", "sum" or "none".
        engine: "reference", "handmade" or "native"; None leaves the choice to the surroundings.

    >>> CrossEntropyLoss()(torch.zeros(1, 10), torch.tensor([3])).item()  # ln 10
    2.302585...
    """

    def __init__(
        self, *, label_smoothing: float = 0.0, reduction: Reduction = "mean", engine: str | None = None
    ) -> None:
        """Build the loss; see the class for the arguments."""
        super().__init__()
        self.label_smoothing = label_smoothing
        self.reduction = reduction
        self.engine = engine

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compare (N, classes) with (N,)."""
        return ops.cross_entropy(logits, target, self.label_smoothing, self.reduction, engine=self.engine)
