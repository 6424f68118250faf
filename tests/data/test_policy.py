"""TrivialAugment, operation by operation, against Pillow."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from plusx.data import sample
from plusx.data.policy import OPERATIONS, STEPS, draw_operations, trivial

IMAGES = torch.from_numpy(sample("test")[0][::20])
STRENGTHS = torch.arange(-STEPS, STEPS + 1, 4) / STEPS


def affine(*matrix: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.transform(image.size, Image.Transform.AFFINE, matrix)


def enhance(kind: type[ImageEnhance._Enhance]) -> Callable[[Image.Image, float], Image.Image]:
    return lambda image, s: kind(image).enhance(1 + 0.99 * s)


PILLOW: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "identity": lambda image, s: image,
    "shear_x": lambda image, s: affine(1, 0.99 * s, 0, 0, 1, 0)(image),
    "shear_y": lambda image, s: affine(1, 0, 0, 0.99 * s, 1, 0)(image),
    "translate_x": lambda image, s: affine(1, 0, int(32 * s), 0, 1, 0)(image),
    "translate_y": lambda image, s: affine(1, 0, 0, 0, 1, int(32 * s))(image),
    "rotate": lambda image, s: image.rotate(135 * s),
    "brightness": enhance(ImageEnhance.Brightness),
    "color": enhance(ImageEnhance.Color),
    "contrast": enhance(ImageEnhance.Contrast),
    "sharpness": enhance(ImageEnhance.Sharpness),
    "posterize": lambda image, s: ImageOps.posterize(image, 8 - round(6 * abs(s))),
    "solarize": lambda image, s: ImageOps.solarize(image, round(256 - 256 * abs(s))),
    "autocontrast": lambda image, s: ImageOps.autocontrast(image),
    "equalize": lambda image, s: ImageOps.equalize(image),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_equals_pillow_s(name: str) -> None:
    number = list(OPERATIONS).index(name)
    for strength in STRENGTHS.tolist():
        drawn = torch.tensor([[number, strength]]).expand(len(IMAGES), 2)
        result = trivial(IMAGES, drawn)
        expected = np.stack(
            [np.asarray(PILLOW[name](Image.fromarray(image.numpy()), strength)) for image in IMAGES]
        )
        difference = np.abs(result.numpy().astype(int) - expected)
        if name in ("shear_x", "shear_y", "rotate"):
            # Pillow steps along in fixed-point numbers: a pixel on the edge of two may be the other one.
            # Turned by a multiple of 45°, whole diagonals of them are.
            diagonal = name == "rotate" and round(135 * abs(strength), 3) % 45 == 0
            assert (difference.max(axis=3) > 0).mean() < (0.05 if diagonal else 0.01)
        else:
            assert difference.max() <= 1, (name, strength)
            assert (difference > 0).mean() < 0.005, (name, strength)


def test_flat_and_two_valued_pictures_equal_pillow_s() -> None:
    flat = torch.full((1, 16, 16, 3), 77, dtype=torch.uint8)
    two = flat.clone()
    two[:, :3] = 200
    for name in ("autocontrast", "equalize", "contrast"):
        drawn = torch.tensor([[list(OPERATIONS).index(name), 0.5]])
        for picture in (flat, two):
            expected = np.asarray(PILLOW[name](Image.fromarray(picture[0].numpy()), 0.5))
            np.testing.assert_array_equal(trivial(picture, drawn)[0].numpy(), expected)


def test_each_picture_of_a_batch_has_its_own_operation() -> None:
    pictures = IMAGES.repeat(10, 1, 1, 1)
    drawn = draw_operations(len(pictures), torch.Generator().manual_seed(0))
    before = pictures.clone()
    together = trivial(pictures, drawn)
    assert torch.equal(pictures, before)
    alone = [trivial(pictures[i : i + 1], drawn[i : i + 1]) for i in range(len(pictures))]
    assert torch.equal(together, torch.cat(alone))


def test_operations_and_strengths_are_drawn_evenly() -> None:
    drawn = draw_operations(100_000, torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn[:, 0].long(), minlength=len(OPERATIONS)).double()
    assert (counts - 1e5 / len(OPERATIONS)).abs().max() < 5 * math.sqrt(1e5 / len(OPERATIONS))
    steps = torch.bincount((drawn[:, 1].abs() * STEPS).round().long(), minlength=STEPS + 1).double()
    assert (steps - 1e5 / (STEPS + 1)).abs().max() < 5 * math.sqrt(1e5 / (STEPS + 1))
    assert drawn[:, 1].mean().abs() < 0.01
