"""Inside a backward pass: gradients that may be differentiated again, and mostly are not."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


class _Forgetful:
    """A context for a forward pass whose backward pass never comes."""

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Keep nothing."""


def apply_or_forward(function: type[Function], *arguments: Any) -> Tensor:
    """`function.apply(*arguments)`; where nothing is differentiated, its forward pass alone.

    `apply` prepares for a backward pass even then, for some 20 µs: as long as the loop over a small picture
    takes, and so worth leaving out in pooling.

    >>> from plusx.ops.activation import Rectifier
    >>> with torch.no_grad():
    ...     apply_or_forward(Rectifier, torch.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    result: Tensor
    if torch.is_grad_enabled():
        result = function.apply(*arguments)
    else:
        result = function.forward(_Forgetful(), *arguments)
    return result
