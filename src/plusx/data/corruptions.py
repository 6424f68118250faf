"""Common corruptions of pictures, each in five strengths: what cameras and compression do to a test set.

After Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations, 2019, arXiv 1903.12261: four of their nineteen kinds, with the constants that they made
CIFAR-10-C with. Three things are ours: values are rounded to whole numbers, not cut off; the noise is drawn
from a seed; and at another side than 32 pixels the blur grows with it, so that the same detail is lost. So an
accuracy is not the one on their files, and the mean over four kinds is not the paper's mean corruption error.
"""

import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from plusx.data.records import SIDE, Images

STRENGTHS: Mapping[str, tuple[float, ...]] = {
    "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),  # standard deviation, of values 0…1
    "gaussian_blur": (0.4, 0.6, 0.7, 0.8, 1.0),  # standard deviation in pixels, of 32
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),  # the factor that is left of it
    "jpeg_compression": (80, 65, 58, 50, 40),  # quality, of 100
}
"""The constant of each corruption, from the weakest strength to the strongest."""


def corrupt(images: Images, kind: str, strength: int, generator: np.random.Generator) -> Images:
    """Corrupt a batch of pictures.

    Args:
        images: uint8 (N, H, W, 3); they stay as they are.
        kind: a key of `STRENGTHS`.
        strength: 1 to 5.
        generator: gives the noise; the other kinds draw nothing. Batches one after the other, from the same
            generator, are corrupted as all of them at once would be.

    Returns:
        uint8 (N, H, W, 3).

    Raises:
        ValueError: for another kind or strength.

    >>> grey = np.array([[[[100] * 3, [200] * 3]]], np.uint8)
    >>> corrupt(grey, "contrast", 2, np.random.default_rng(0))[0, 0, :, 0].tolist()
    [125, 175]
    """
    if kind not in STRENGTHS or strength not in range(1, 6):
        raise ValueError(f"corruptions are {', '.join(STRENGTHS)} in 1 to 5, not {kind!r} in {strength}")
    return _KINDS[kind](images, STRENGTHS[kind][strength - 1], generator)


def _noise(images: Images, deviation: float, generator: np.random.Generator) -> Images:
    return _rounded(
        images + np.float32(255 * deviation) * generator.standard_normal(images.shape, np.float32)
    )


def _blur(images: Images, deviation: float, _: np.random.Generator) -> Images:
    """Convolve rows, then columns, with a Gaussian cut off at four deviations; beyond a border it repeats."""
    deviation *= images.shape[1] / SIDE
    radius = int(4 * deviation + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1, dtype=np.float32) / deviation) ** 2)
    weights /= weights.sum()
    blurred = images.astype(np.float32)
    for axis in (1, 2):
        border = [(radius, radius) if own == axis else (0, 0) for own in range(4)]
        padded, length = np.pad(blurred, border, "edge"), images.shape[axis]
        blurred = np.zeros_like(blurred)
        for start, weight in enumerate(weights):
            blurred += weight * padded.take(range(start, start + length), axis)
    return _rounded(blurred)


def _contrast(images: Images, factor: float, _: np.random.Generator) -> Images:
    means = images.mean((1, 2), keepdims=True, dtype=np.float32)  # of each picture and channel
    return _rounded((images - means) * np.float32(factor) + means)


def _jpeg(images: Images, quality: float, _: np.random.Generator) -> Images:
    corrupted = np.empty_like(images)
    for image, place in zip(images, corrupted, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=int(quality))
        place[...] = Image.open(file)
    return corrupted


def _rounded(values: np.ndarray) -> Images:
    return values.round().clip(0, 255).astype(np.uint8)


_KINDS: Mapping[str, Callable[[Images, float, np.random.Generator], Images]] = {
    "gaussian_noise": _noise,
    "gaussian_blur": _blur,
    "contrast": _contrast,
    "jpeg_compression": _jpeg,
}
