"""Small pictures of what was found: arrays in, uint8 (H, W, 3) out. Everyone can tell the colours apart."""

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from PIL import Image

HEAT = mpl.colormaps["inferno"]
MAPS = mpl.colormaps["magma"]
SIGNED = LinearSegmentedColormap.from_list("signed", ["#0072b2", "#f7f7f7", "#b34700"], N=257)
"""Blue against, orange for."""
OUTLINE = "#1a9be6"
"""Around a unit and around what it sees: stands out on the picture and on the maps."""


def heat(picture: np.ndarray, grad_cam: np.ndarray) -> np.ndarray:
    """Grad-CAM over the picture in grey: the brighter, the more a place speaks for the class.

    Args:
        picture: uint8 (H, W, 3).
        grad_cam: (h, w), not negative; enlarged to (H, W) with bilinear interpolation.

    >>> black = np.zeros((4, 4, 3), np.uint8)
    >>> int(heat(black, np.array([[1.0, 0.0]])).sum(2).argmax(1)[0])
    0
    """
    height, width = picture.shape[:2]
    small = Image.fromarray(grad_cam.astype(np.float32))
    large = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))
    strength = large / (large.max() or 1)
    return to_bytes(0.45 * grey(picture) + 0.55 * HEAT(strength)[..., :3])


def signed(values: np.ndarray) -> np.ndarray:
    """Integrated gradients by pixel: orange speaks for the class, blue against it, the paler the less.

    Args:
        values: (3, H, W); a pixel counts with the sum of its colours. The strongest 1 % are drawn alike.

    >>> signed(np.zeros((3, 1, 1))).tolist()
    [[[247, 247, 247]]]
    """
    pixels = values.sum(0)
    most = np.quantile(np.abs(pixels), 0.99) or 1
    return to_bytes(SIGNED(np.clip(pixels / most, -1, 1) / 2 + 0.5)[..., :3])


def feature_maps(maps: np.ndarray) -> list[np.ndarray]:
    """Maps (C, h, w) of one stage, on one scale from 0, black, to their highest value, white."""
    highest = max(float(maps.max()), 1e-12)
    return [to_bytes(MAPS(np.clip(one / highest, 0, 1))[..., :3]) for one in maps]


def seen(picture: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The picture as a unit sees it: a pixel keeps its colour as far as it matters, the rest is pale grey.

    Args:
        picture: uint8 (H, W, 3).
        gradient: (H, W), not negative. The square root lifts what matters little; the strongest 1 % are
            drawn alike.

    >>> picture = np.full((1, 2, 3), (255, 0, 0), np.uint8)
    >>> seen(picture, np.array([[1.0, 0.0]]))[0].tolist()
    [[255, 0, 0], [210, 210, 210]]
    """
    reached = gradient[gradient > 0]
    most = np.quantile(reached, 0.99) if len(reached) else 1
    weight = np.sqrt(np.clip(gradient / most, 0, 1))[..., None]
    return to_bytes(weight * (picture / 255) + (1 - weight) * (0.75 + 0.25 * grey(picture)))


def grey(picture: np.ndarray) -> np.ndarray:
    """Luma (ITU-R BT.601) of uint8 (H, W, 3): float (H, W, 1), 0…1."""
    return (picture @ np.array([0.299, 0.587, 0.114]))[..., None] / 255


def to_bytes(colours: np.ndarray) -> np.ndarray:
    """Colours 0…1 as uint8."""
    return np.round(255 * np.clip(colours, 0, 1)).astype(np.uint8)
