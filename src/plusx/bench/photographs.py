"""JPEG files as large as photographs, made from the sample, for what is measured of reading them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDE, TALL = 500, 375  # the usual size in ImageNet


def write_photograph(path: Path, small: NDArray[np.uint8], noise: NDArray[Any], quality: int) -> None:
    """Enlarge a picture and add noise, without which a file would have too few bytes.

    Args:
        path: the file to write.
        small: (H, W, 3).
        noise: (TALL, WIDE, 3), in grey levels.
        quality: Pillow's.
    """
    large = Image.fromarray(small).resize((WIDE, TALL), Image.Resampling.BICUBIC)
    noisy = (np.asarray(large) + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(path, "JPEG", quality=quality)
