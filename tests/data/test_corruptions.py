"""Corruptions beside torch's convolution, Pillow's files and sums by hand."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from plusx.data import sample
from plusx.data.corruptions import STRENGTHS, corrupt


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return sample("test")[0][:40]


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


def test_noise_has_the_deviation_that_it_says() -> None:
    grey = np.full((50, 32, 32, 3), 128, np.uint8)
    for strength, deviation in enumerate(STRENGTHS["gaussian_noise"], start=1):
        noise = corrupt(grey, "gaussian_noise", strength, generator()).astype(float) - 128
        assert abs(noise.mean()) < 0.2
        # Rounding adds the variance of a uniform distribution, 1/12.
        assert noise.std() == pytest.approx(np.sqrt((255 * deviation) ** 2 + 1 / 12), rel=0.01)


def test_noise_is_the_seed_s_whatever_the_batches(images: np.ndarray) -> None:
    whole = corrupt(images, "gaussian_noise", 3, generator())
    own = generator()
    parts = [corrupt(part, "gaussian_noise", 3, own) for part in np.split(images, [7, 20])]
    assert np.array_equal(np.concatenate(parts), whole)
    assert not np.array_equal(corrupt(images, "gaussian_noise", 3, np.random.default_rng(8)), whole)


@pytest.mark.parametrize(("side", "strength"), [(32, 1), (32, 5), (64, 4), (48, 2)])
def test_blur_is_torch_s_convolution_with_a_gaussian(side: int, strength: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    deviation = STRENGTHS["gaussian_blur"][strength - 1] * side / 32
    radius = int(4 * deviation + 0.5)
    line = torch.exp(-(torch.arange(-radius, radius + 1) ** 2) / (2 * deviation**2)).double()
    kernel = torch.outer(line, line) / line.sum() ** 2
    x = torch.from_numpy(images).permute(0, 3, 1, 2).double()
    padded = torch.nn.functional.pad(x, [radius] * 4, mode="replicate")
    expected = torch.nn.functional.conv2d(padded, kernel.expand(3, 1, -1, -1), groups=3)
    found = corrupt(images, "gaussian_blur", strength, generator()).astype(float)
    assert np.abs(found - expected.permute(0, 2, 3, 1).numpy()).max() < 0.501  # rounded


@given(st.integers(0, 255), st.integers(0, 255), st.integers(1, 5))
def test_contrast_keeps_the_mean_and_shrinks_the_distance(one: int, other: int, strength: int) -> None:
    picture = np.array([[[[one] * 3, [other] * 3]]], np.uint8)
    found = corrupt(picture, "contrast", strength, generator())[0, 0, :, 0].astype(float)
    factor, mean = STRENGTHS["contrast"][strength - 1], (one + other) / 2
    assert found == pytest.approx([mean + factor * (one - mean), mean + factor * (other - mean)], abs=0.502)


def test_jpeg_is_what_pillow_reads_from_the_file_it_writes(images: np.ndarray) -> None:
    found = corrupt(images, "jpeg_compression", 2, generator())
    for image, compressed in zip(images, found, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=65)
        assert np.array_equal(compressed, np.asarray(Image.open(file)))


@pytest.mark.parametrize("kind", STRENGTHS)
def test_stronger_takes_more_of_the_picture_and_the_pictures_stay(kind: str, images: np.ndarray) -> None:
    before = images.copy()
    lost = []
    for strength in range(1, 6):
        corrupted = corrupt(images, kind, strength, generator())
        assert corrupted.shape == images.shape
        assert corrupted.dtype == np.uint8
        lost.append(float(np.abs(corrupted.astype(float) - before).mean()))
    assert lost == sorted(lost)
    assert lost[0] > 0
    assert np.array_equal(images, before)


@pytest.mark.parametrize(("kind", "strength"), [("fog", 1), ("contrast", 0), ("contrast", 6)])
def test_another_kind_or_strength_is_refused(kind: str, strength: int, images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=f"not '{kind}' in {strength}"):
        corrupt(images, kind, strength, generator())
