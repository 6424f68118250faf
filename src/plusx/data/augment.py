"""Augmentation of a whole batch at once, on whatever device it is on: crop, mirror, light and cutout.

All chance is drawn beforehand (`Augmentation.draw`), a pure function of seed and epoch; applying the draws
is then plain index arithmetic. So a run that is resumed in the middle of an epoch sees the same pictures
again.

Pictures are (N, C, H, W), of any dtype; results are in channels-last memory.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from plusx.data.policy import draw_operations, trivial
from plusx.data.resize import draw_boxes, resized_crop


@dataclass(frozen=True)
class Draws:
    """What chance decided for each of n pictures; None for what is not done at all.

    `offsets` (n, 2): row and column where the crop begins in the padded picture; `mirrored` (n,), bool;
    `centers` (n, 2): row and column of the cutout's middle; `light` (n, 2): contrast and brightness;
    `boxes` (n, 4): see `draw_boxes`; `operations` (n, 2): see `draw_operations`.
    """

    offsets: Tensor | None = None
    mirrored: Tensor | None = None
    centers: Tensor | None = None
    light: Tensor | None = None
    boxes: Tensor | None = None
    operations: Tensor | None = None

    def __getitem__(self, index: Tensor) -> "Draws":
        """Return the draws of the pictures that `index` selects."""
        return Draws(*(None if part is None else part[index] for part in self._parts()))

    def to(self, device: torch.device) -> "Draws":
        """Return them on a device: once for an epoch, since every copy waits for what a GPU is doing."""
        return Draws(*(None if part is None else part.to(device) for part in self._parts()))

    def _parts(self) -> tuple[Tensor | None, ...]:
        return self.offsets, self.mirrored, self.centers, self.light, self.boxes, self.operations


@dataclass(frozen=True)
class Augmentation:
    """Mirrors the pictures, shifts them by up to `crop` pixels, changes their light, hides a square.

    `mirror` is "none", "random" (a coin for each picture and epoch) or "alternating" (a coin for each
    picture once, then the other side at every epoch, so that two epochs in a row show both: Jordan, arXiv
    2404.00498, section 3.6). `cutout` is the hidden square's side in pixels. `light` is the
    largest change of contrast and of brightness: 0.2 multiplies a normalised picture by 0.8 … 1.2 and adds
    −0.2 … 0.2. `resized_crop` is the smallest share of a picture's area that is enlarged to the whole of it
    (`draw_boxes`), 0 for none. `policy` "trivial" is TrivialAugment; it needs pictures as they were before
    they were normalised, and so is a call of its own, `change`.

    >>> augmentation = Augmentation(mirror="alternating", crop=2)
    >>> draws = augmentation.draw(50, 32, 32, seed=1, epoch=3)
    >>> pictures = torch.rand(50, 3, 32, 32)
    >>> some = torch.tensor([4, 7])
    >>> torch.equal(augmentation(pictures, draws)[some], augmentation(pictures[some], draws[some]))
    True
    """

    mirror: Literal["none", "random", "alternating"] = "none"
    crop: int = 0
    cutout: int = 0
    light: float = 0.0
    resized_crop: float = 0.0
    policy: Literal["none", "trivial"] = "none"

    def __post_init__(self) -> None:
        """Raise `ValueError` for an unknown mirror or policy, a negative size or a part above the whole."""
        if (
            self.mirror not in ("none", "random", "alternating")
            or self.policy not in ("none", "trivial")
            or min(self.crop, self.light, self.cutout, self.resized_crop) < 0
            or self.resized_crop > 1
        ):
            raise ValueError(
                'mirror is "none", "random" or "alternating", policy "none" or "trivial", others ≥ 0 and '
                f"resized_crop ≤ 1; got {self}"
            )

    def draw(self, count: int, height: int, width: int, *, seed: int, epoch: int) -> Draws:
        """Draw for `count` pictures all that an epoch (from 0) needs; the same arguments give the same draws.

        >>> first, second = (Augmentation("alternating").draw(9, 32, 32, seed=5, epoch=e) for e in (0, 1))
        >>> bool((first.mirrored ^ second.mirrored).all())
        True
        """
        generator = _generator(seed, 1 + epoch)
        offsets = torch.randint(2 * self.crop + 1, (count, 2), generator=generator) if self.crop else None
        mirrored = None
        if self.mirror == "random":
            mirrored = torch.rand(count, generator=generator) < 0.5
        elif self.mirror == "alternating":
            mirrored = (torch.rand(count, generator=_generator(seed, 0)) < 0.5) ^ (epoch % 2 == 1)
        centers = None
        if self.cutout:
            sides = (torch.randint(side, (count,), generator=generator) for side in (height, width))
            centers = torch.stack(tuple(sides), dim=1)
        light = None
        if self.light:
            change = self.light * (2 * torch.rand(count, 2, generator=generator) - 1)
            light = torch.tensor([1.0, 0.0]) + change
        boxes = operations = None
        if self.resized_crop:
            boxes = draw_boxes(count, height, width, self.resized_crop, generator)
        if self.policy == "trivial":
            operations = draw_operations(count, generator)
        return Draws(offsets, mirrored, centers, light, boxes, operations)

    def change(self, pictures: Tensor, draws: Draws) -> Tensor:
        """Apply the policy, before pictures are normalised: uint8 (N, H, W, 3) → the same."""
        return pictures if draws.operations is None else trivial(pictures, draws.operations)

    def __call__(self, pictures: Tensor, draws: Draws) -> Tensor:
        """Apply the draws to pictures (N, C, H, W): resized crop, crop, mirror, light, cutout, in this order.

        Crop and mirror together move every pixel just once.
        """
        if draws.boxes is not None:
            pictures = resized_crop(pictures, draws.boxes)
        if draws.offsets is not None or draws.mirrored is not None:
            pictures = _pick(pictures, *_source(pictures, draws.offsets, self.crop, draws.mirrored))
        if draws.light is not None:
            contrast, brightness = draws.light.to(pictures).T.reshape(2, -1, 1, 1, 1)
            pictures = torch.addcmul(brightness, pictures, contrast)
        return pictures if draws.centers is None else cutout(pictures, draws.centers, self.cutout)


def reflect_crop(pictures: Tensor, offsets: Tensor, padding: int) -> Tensor:
    """Pad each picture by reflection and cut its own size out of it, from `offsets` (N, 2) in 0…2·padding.

    Pixel (i, j) of the result is pixel (r(i + o_i − P), r(j + o_j − P)) of the picture, where r reflects at
    the first and the last pixel: …, 2, 1, 0, 1, 2, …. Raises `ValueError` if P is not less than H and W.

    >>> row = torch.arange(4.0).expand(1, 1, 4, 4)
    >>> reflect_crop(row, torch.tensor([[2, 0]]), 2)[0, 0, 0]
    tensor([2., 1., 0., 1.])
    """
    return _pick(pictures, *_source(pictures, offsets, padding, None))


def mirror(pictures: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror the pictures whose `mirrored` (N,) is true, left to right: pixel (i, j) becomes (i, W − 1 − j).

    >>> row = torch.arange(4.0).expand(2, 1, 1, 4)
    >>> mirror(row, torch.tensor([True, False]))[:, 0, 0]
    tensor([[3., 2., 1., 0.],
            [0., 1., 2., 3.]])
    """
    return _pick(pictures, *_source(pictures, None, 0, mirrored))


def cutout(pictures: Tensor, centers: Tensor, size: int) -> Tensor:
    """Fill a square of side `size` around `centers` (N, 2) with 0; what lies outside is cut off.

    The square begins size // 2 before the center, a pixel of the picture (DeVries and Taylor, arXiv
    1708.04552). In normalised pictures 0 is the mean colour.

    >>> cutout(torch.ones(1, 1, 3, 3), torch.tensor([[0, 1]]), 2)[0, 0]
    tensor([[0., 0., 1.],
            [1., 1., 1.],
            [1., 1., 1.]])
    """
    count, channels, height, width = pictures.shape
    square = torch.arange(size, device=pictures.device) - size // 2
    centers = centers.to(pictures.device)
    # Clamping is cutting off: a row beyond the edge becomes the edge, which the square reaches anyway.
    rows = (centers[:, :1] + square).clamp(0, height - 1)
    columns = (centers[:, 1:] + square).clamp(0, width - 1)
    table = pictures.permute(0, 2, 3, 1).reshape(-1, channels)
    filled = table.index_fill(0, _pixels(rows, columns, height, width), 0)
    return filled.view(count, height, width, channels).permute(0, 3, 1, 2)


def shrink(pictures: Tensor, size: int) -> Tensor:
    """Reduce pictures (N, C, H, W) to size × size, averaging what falls together (bilinear, antialiased).

    >>> shrink(torch.zeros(1, 3, 32, 32), 24).shape
    torch.Size([1, 3, 24, 24])
    """
    return functional.interpolate(pictures, size=(size, size), mode="bilinear", antialias=True)


def _generator(seed: int, stream: int) -> torch.Generator:
    # SeedSequence mixes the pair into one well-spread 32-bit number: all that torch's generator takes.
    mixed = int(np.random.SeedSequence((seed, stream)).generate_state(1)[0])
    return torch.Generator().manual_seed(mixed)


def _source(
    pictures: Tensor, offsets: Tensor | None, padding: int, mirrored: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the source row of each row (N, H) and the source column of each column (N, W)."""
    count, _, height, width = pictures.shape
    if padding >= min(height, width):
        raise ValueError(f"a {height}×{width} picture can't be padded by {padding} by reflection")
    none = torch.zeros(count, 2, dtype=torch.long, device=pictures.device)
    start = none if offsets is None else offsets.to(pictures.device) - padding
    rows = _reflect(start[:, :1] + torch.arange(height, device=start.device), height)
    columns = _reflect(start[:, 1:] + torch.arange(width, device=start.device), width)
    if mirrored is not None:
        columns = torch.where(mirrored.to(start.device)[:, None], columns.flip(1), columns)
    return rows, columns


def _reflect(index: Tensor, size: int) -> Tensor:
    return (size - 1) - ((size - 1) - index.abs()).abs()


def _pick(pictures: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Gather pixel (rows[n, i], columns[n, j]) of picture n into place (n, i, j).

    In channels-last memory a pixel is one short row of C numbers, so the whole batch is a table of N·H·W
    rows, and the gather is one selection of rows.
    """
    count, channels, height, width = pictures.shape
    table = pictures.permute(0, 2, 3, 1).reshape(-1, channels)
    picked = table.index_select(0, _pixels(rows, columns, height, width))
    return picked.view(count, height, width, channels).permute(0, 3, 1, 2)


def _pixels(rows: Tensor, columns: Tensor, height: int, width: int) -> Tensor:
    """Return the numbers, in a table of N·H·W pixels, of the pixels where rows (N, I) meet columns (N, J)."""
    first = torch.arange(len(rows), device=rows.device)[:, None] * height
    return (((first + rows) * width)[:, :, None] + columns[:, None, :]).flatten()
