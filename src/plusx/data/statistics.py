"""Channel means and standard deviations, computed from the pictures rather than copied from somewhere."""

import math

import numpy as np
from numpy.typing import NDArray

from plusx.data.records import Images


def channel_statistics(images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return the mean and the standard deviation of each channel of uint8 pictures (N, H, W, 3), in 0…1.

    With :math:`n` values :math:`x_i` in a channel, :math:`\mu = \sum x_i / n` and :math:`\sigma^2 = (n \sum
    x_i^2 - (\sum x_i)^2) / n^2`. The sums are whole numbers, kept exact, so that the subtraction loses
    nothing.

    >>> checkerboard = np.zeros((1, 2, 2, 3), np.uint8)
    >>> checkerboard[0, [0, 1], [0, 1]] = 255
    >>> mean, std = channel_statistics(checkerboard)
    >>> mean.tolist(), std.tolist()
    ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.size == 0:
        raise ValueError(
            f"expected uint8 pictures (N, H, W, C), at least one; got {images.dtype} {images.shape}"
        )
    count = images[..., 0].size
    sums = [0] * images.shape[-1]
    squares = [0] * images.shape[-1]
    for chunk in np.array_split(images, math.ceil(len(images) / 5000)):  # bounds the memory for the squares
        for channel in range(images.shape[-1]):
            values = chunk[..., channel]
            sums[channel] += int(values.sum(dtype=np.uint64))
            squares[channel] += int(np.square(values, dtype=np.uint16).sum(dtype=np.uint64))
    mean = [s / (255 * count) for s in sums]
    std = [math.sqrt(count * q - s * s) / (255 * count) for s, q in zip(sums, squares, strict=True)]
    return np.array(mean), np.array(std)
