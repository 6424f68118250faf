"""Carries tensors to the reference in the lesson's layout and its results back."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from plusx.ops.reference import Array


def to_lesson(x: Tensor, order: tuple[int, ...] | None = None) -> Array:
    """Return a float64 array with its axes in the given order.

    Raises:
        RuntimeError: if a gradient would be asked of it: the reference has none.

    >>> to_lesson(torch.zeros(3, 8, 9), (1, 2, 0)).shape
    (8, 9, 3)
    """
    if x.requires_grad and torch.is_grad_enabled():
        raise RuntimeError(
            "the reference engine has no gradient: use torch.no_grad() or choose the handmade engine"
        )
    array: Array = x.detach().double().cpu().numpy()
    return array if order is None else array.transpose(order)


def vector(x: Tensor | None) -> Array | None:
    """Return the numbers of an optional (C,) tensor.

    >>> vector(torch.ones(2)), vector(None)
    (array([1., 1.]), None)
    """
    return None if x is None else to_lesson(x)


def from_lesson(array: Array, like: Tensor, order: tuple[int, ...] | None = None) -> Tensor:
    """Return a tensor of `like`'s dtype and device, its axes in the given order.

    >>> from_lesson(np.zeros((8, 9, 3)), torch.zeros(1), (2, 0, 1)).shape
    torch.Size([3, 8, 9])
    """
    return torch.tensor(
        array if order is None else array.transpose(order), dtype=like.dtype, device=like.device
    )


def each_picture(
    function: Callable[[Array], Array], x: Tensor, channels: int, size: tuple[int, int]
) -> Tensor:
    """Apply a function of one (H, W, C) picture to all of x (N, C, H, W); return (N, channels, *size).

    >>> each_picture(lambda picture: picture[:1], torch.zeros(2, 3, 8, 9), 3, (1, 9)).shape
    torch.Size([2, 3, 1, 9])
    """
    pictures = to_lesson(x, (0, 2, 3, 1))
    output = np.empty((len(pictures), *size, channels))
    for n, picture in enumerate(pictures):
        output[n] = function(picture)
    return from_lesson(output, x, (0, 3, 1, 2))
