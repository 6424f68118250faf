r"""Parts of pictures resized to whole ones, each picture its own part: two small matrix products a picture.

A separable filter weighs rows and columns one after the other, so the result is :math:`A\,x\,B^\top`, with
:math:`A` (H, H) for the rows of the part and :math:`B` (W, W) for its columns. A row of :math:`A` holds the
weights of all input rows in one output row: a triangle around the output row's place in the input, as wide as
an output row is there, but no narrower than an input row. So enlarging is bilinear interpolation, and what is
made smaller is averaged rather than skipped.
"""

import math

import torch
from torch import Tensor

TRIES = 10
RATIO = 4 / 3


def draw_boxes(count: int, height: int, width: int, smallest: float, generator: torch.Generator) -> Tensor:
    """Draw parts of pictures: any share of the area from `smallest` to 1, any shape from 3:4 to 4:3.

    The area is uniform and so is the logarithm of the shape (Szegedy et al., arXiv 1409.4842, section 6);
    what doesn't fit into the picture is drawn again, ten times at most, then the whole picture is taken.

    Returns:
        float32 (count, 4): top, left, height and width, in pixels, not whole ones.

    >>> boxes = draw_boxes(5, 32, 32, 0.25, torch.Generator().manual_seed(0))
    >>> bool((boxes[:, 2] * boxes[:, 3] >= 0.25 * 32 * 32 - 1e-3).all())
    True
    """
    area = smallest + (1 - smallest) * torch.rand(count, TRIES, generator=generator)
    shape = torch.exp(math.log(RATIO) * (2 * torch.rand(count, TRIES, generator=generator) - 1))
    place = torch.rand(count, 2, generator=generator)
    sides = (area * height * width)[..., None].sqrt() * torch.stack([shape.rsqrt(), shape.sqrt()], dim=2)
    whole = torch.tensor([float(height), float(width)])
    fits = (sides <= whole).all(dim=2)
    first = fits.long().argmax(dim=1)
    chosen = torch.where(fits.any(dim=1)[:, None], sides[torch.arange(count), first], whole)
    return torch.cat([place * (whole - chosen), chosen], dim=1)


def resized_crop(pictures: Tensor, boxes: Tensor) -> Tensor:
    """Enlarge or reduce a part of each picture to the size of the whole.

    Args:
        pictures: floating point (N, C, H, W).
        boxes: (N, 4): top, left, height and width of the part, in pixels.

    Returns:
        (N, C, H, W), channels-last.

    >>> row = torch.tensor([0.0, 0, 4, 4]).expand(1, 1, 4, 4)
    >>> resized_crop(row, torch.tensor([[0.0, 1, 4, 2]]))[0, 0, 0]
    tensor([0., 1., 3., 4.])
    """
    boxes = boxes.to(pictures.device)
    rows = weights(boxes[:, 0], boxes[:, 2], pictures.shape[2]).to(pictures.dtype)
    columns = weights(boxes[:, 1], boxes[:, 3], pictures.shape[3]).to(pictures.dtype)
    resized = rows[:, None] @ pictures @ columns[:, None].mT
    return resized.contiguous(memory_format=torch.channels_last)


def weights(start: Tensor, length: Tensor, size: int) -> Tensor:
    r"""The weights of all input rows (or columns) in each output row.

    Output row :math:`i` lies at :math:`c_i = s + (i + 1/2)\,l / n` of the input; input row :math:`j`, whose
    middle is at :math:`j + 1/2`, weighs :math:`\max(0, 1 - |j + 1/2 - c_i| / \max(l / n, 1))`, and the
    weights of an output row are scaled to sum to 1.

    Args:
        start: (N,): where the part begins, :math:`s`.
        length: (N,): how long it is, :math:`l`.
        size: rows of the picture, and of the result, :math:`n`.

    Returns:
        float32 (N, size, size): output row, input row.
    """
    middles = torch.arange(size, device=start.device) + 0.5
    scale = (length / size)[:, None, None]
    away = middles - (start[:, None, None] + middles[:, None] * scale)
    triangle = (1 - away.abs() / scale.clamp(min=1)).clamp(min=0)
    return triangle / triangle.sum(dim=2, keepdim=True)
