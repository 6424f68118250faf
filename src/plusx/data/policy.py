"""TrivialAugment: one operation of random strength on each picture (Müller and Hutter, arXiv 2103.10158).

The operations and their ranges are the paper's wide ones. Each is Pillow's of the same name, rounding
included, on a whole batch: it is parted by operation, and within a part each picture has its own strength.

Pictures are uint8 (N, H, W, 3).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

STEPS = 30
"""A strength is one of 0/30 … 30/30."""


def draw_operations(count: int, generator: torch.Generator) -> Tensor:
    """Draw an operation and a strength for each of `count` pictures.

    Returns:
        float32 (count, 2): the operation's number in `OPERATIONS`, and the strength, −1 … 1.
    """
    operation = torch.randint(len(OPERATIONS), (count,), generator=generator)
    strength = torch.randint(STEPS + 1, (count,), generator=generator) / STEPS
    sign = 2 * torch.randint(2, (count,), generator=generator) - 1
    return torch.stack([operation.float(), strength * sign], dim=1)


def trivial(pictures: Tensor, drawn: Tensor) -> Tensor:
    """Change each picture by the operation and the strength drawn for it (see `draw_operations`).

    >>> pictures = torch.full((2, 1, 1, 3), 200, dtype=torch.uint8)
    >>> solarize = list(OPERATIONS).index("solarize")
    >>> trivial(pictures, torch.tensor([[0.0, 1.0], [solarize, 1.0]]))[:, 0, 0, 0].tolist()
    [200, 55]
    """
    drawn = drawn.to(pictures.device)
    changed = pictures.clone()
    for number, operation in enumerate(OPERATIONS.values()):
        chosen = (drawn[:, 0] == number).nonzero()[:, 0]
        if len(chosen):
            changed[chosen] = operation(pictures[chosen], drawn[chosen, 1])
    return changed


def _identity(pictures: Tensor, strength: Tensor) -> Tensor:
    return pictures


def _shear_x(pictures: Tensor, strength: Tensor) -> Tensor:
    return _move(pictures, _matrix(strength, {(0, 1): 0.99 * strength}))


def _shear_y(pictures: Tensor, strength: Tensor) -> Tensor:
    return _move(pictures, _matrix(strength, {(1, 0): 0.99 * strength}))


def _translate_x(pictures: Tensor, strength: Tensor) -> Tensor:
    return _move(pictures, _matrix(strength, {(0, 2): (32 * strength).trunc()}))


def _translate_y(pictures: Tensor, strength: Tensor) -> Tensor:
    return _move(pictures, _matrix(strength, {(1, 2): (32 * strength).trunc()}))


def _rotate(pictures: Tensor, strength: Tensor) -> Tensor:
    """Turn around the middle, counter-clockwise, by up to 135 degrees."""
    angle = math.radians(135) * strength.double()
    cos, sin = angle.cos(), angle.sin()
    middle_y, middle_x = pictures.shape[1] / 2, pictures.shape[2] / 2
    entries = {
        (0, 0): cos,
        (0, 1): -sin,
        (0, 2): middle_x - cos * middle_x + sin * middle_y,
        (1, 0): sin,
        (1, 1): cos,
        (1, 2): middle_y - sin * middle_x - cos * middle_y,
    }
    return _move(pictures, _matrix(strength, entries))


def _brightness(pictures: Tensor, strength: Tensor) -> Tensor:
    return _blend(torch.zeros_like(pictures), pictures, strength)


def _color(pictures: Tensor, strength: Tensor) -> Tensor:
    return _blend(_grey(pictures)[..., None].expand_as(pictures), pictures, strength)


def _contrast(pictures: Tensor, strength: Tensor) -> Tensor:
    mean = (_grey(pictures).double().mean(dim=(1, 2)) + 0.5).to(torch.uint8)
    return _blend(mean[:, None, None, None].expand_as(pictures), pictures, strength)


def _sharpness(pictures: Tensor, strength: Tensor) -> Tensor:
    """Away from the picture smoothed by a 3×3 kernel of ones with 5 in the middle, the border as it is."""
    smooth = pictures.clone()
    wide = pictures.int()
    height, width = wide.shape[1:3]
    around = sum(wide[:, i : height - 2 + i, j : width - 2 + j] for i in range(3) for j in range(3))
    total = around + 4 * wide[:, 1:-1, 1:-1]
    smooth[:, 1:-1, 1:-1] = ((2 * total + 13) // 26).to(torch.uint8)
    return _blend(smooth, pictures, strength)


def _posterize(pictures: Tensor, strength: Tensor) -> Tensor:
    """Keep the highest 8 to 2 bits."""
    dropped = (6 * strength.abs()).round().int()[:, None, None, None]
    return ((pictures.int() >> dropped) << dropped).to(torch.uint8)


def _solarize(pictures: Tensor, strength: Tensor) -> Tensor:
    """Invert what is as bright as a threshold that falls from 256 to 0."""
    threshold = (256 - 256 * strength.abs()).round()[:, None, None, None]
    return torch.where(pictures < threshold, pictures, 255 - pictures)


def _autocontrast(pictures: Tensor, strength: Tensor) -> Tensor:
    """Stretch each channel to 0 … 255."""
    least, most = (extreme(pictures, dim=(1, 2)).double()[:, :, None] for extreme in (torch.amin, torch.amax))
    scale = 255 / (most - least)
    levels = torch.arange(256, device=pictures.device, dtype=torch.float64)
    stretched = (levels * scale - least * scale).clamp(0, 255).floor()
    return _look_up(pictures, torch.where(most > least, stretched, levels))


def _equalize(pictures: Tensor, strength: Tensor) -> Tensor:
    """Map each channel so that all brightnesses become about as frequent."""
    values = pictures.flatten(1, 2).mT.long()  # (n, 3, H·W)
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.int64, device=pictures.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    brightest = counts.gather(2, values.amax(dim=2, keepdim=True))
    step = (values.shape[2] - brightest) // 255
    below = counts.cumsum(dim=2) - counts
    levels = torch.arange(256, device=pictures.device)
    equal = (step // 2 + below) // step.clamp(min=1)
    return _look_up(pictures, torch.where(step > 0, equal.clamp(max=255), levels))


OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "identity": _identity,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
    "rotate": _rotate,
    "brightness": _brightness,
    "color": _color,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
"""By name, (pictures (n, H, W, 3), strengths (n,) in −1 … 1) → pictures."""


def _matrix(strength: Tensor, entries: dict[tuple[int, int], Tensor]) -> Tensor:
    """Maps from a place of the result (x, y, 1) to one of the picture, (n, 2, 3): entries in an identity."""
    matrix = torch.eye(2, 3, device=strength.device, dtype=torch.float64).repeat(len(strength), 1, 1)
    for (row, column), values in entries.items():
        matrix[:, row, column] = values
    return matrix


def _move(pictures: Tensor, matrix: Tensor) -> Tensor:
    """Fetch each pixel from where the matrix says; black where that is outside."""
    height, width = pictures.shape[1:3]
    x = torch.arange(width, device=matrix.device) + 0.5
    y = torch.arange(height, device=matrix.device)[:, None] + 0.5
    column, row = (
        (entry[:, 0] * x + entry[:, 1] * y + entry[:, 2]).floor().long()
        for entry in matrix[..., None, None].unbind(1)
    )  # each (n, H, W)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    source = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    fetched = pictures.flatten(1, 2).gather(1, source.flatten(1)[..., None].expand(-1, -1, 3))
    return fetched.view_as(pictures) * inside[..., None]


def _grey(pictures: Tensor) -> Tensor:
    """Brightness as ITU-R 601 weighs it, in the whole numbers that Pillow uses: uint8 (n, H, W)."""
    red, green, blue = pictures.int().unbind(dim=3)
    return ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16).to(torch.uint8)


def _blend(plain: Tensor, pictures: Tensor, strength: Tensor) -> Tensor:
    """From `plain` (factor 0.01) to the picture (1) and beyond it (1.99), clipped, cut to whole numbers."""
    factor = (1 + 0.99 * strength.double()).float()[:, None, None, None]
    plain = plain.float()
    return (plain + factor * (pictures.float() - plain)).clamp(0, 255).to(torch.uint8)


def _look_up(pictures: Tensor, table: Tensor) -> Tensor:
    """Replace value v of channel c in picture n by table[n, c, v]."""
    values = pictures.flatten(1, 2).mT.long()
    return table.to(torch.uint8).gather(2, values).mT.reshape(pictures.shape)
