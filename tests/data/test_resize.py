"""Resized crops against Pillow's resizing of a box, and torch's antialiased interpolation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from plusx.data.resize import draw_boxes, resized_crop, weights


@given(
    height=st.integers(2, 20),
    width=st.integers(2, 20),
    seed=st.integers(0, 1000),
    channels_last=st.booleans(),
)
def test_equals_pillow(height: int, width: int, seed: int, channels_last: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    pictures = torch.rand(3, 2, height, width, generator=generator).contiguous(memory_format=layout)
    boxes = draw_boxes(3, height, width, 0.1, generator)
    result = resized_crop(pictures, boxes)
    assert result.is_contiguous(memory_format=torch.channels_last)
    for picture, (top, left, tall, wide), got in zip(pictures, boxes.tolist(), result, strict=True):
        box = (left, top, min(left + wide, width), min(top + tall, height))
        for channel, mine in zip(picture, got, strict=True):
            image = Image.fromarray(channel.numpy().copy())  # mode F: floating point
            expected = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))
            np.testing.assert_allclose(mine.numpy(), expected, atol=2e-5)


@pytest.mark.parametrize(("size", "out"), [(24, 16), (32, 7), (20, 20)])
def test_the_weights_equal_torch_s_antialiased_interpolation(size: int, out: int) -> None:
    # All of `size` rows seen as `out` rows: the first `out` rows of a part that is size² / out long.
    pictures = torch.rand(1, 1, size, 4, dtype=torch.float64)
    length = torch.tensor([size * size / out])
    rows = weights(torch.zeros(1), length, size)[0, :out].double()
    expected = torch.nn.functional.interpolate(
        pictures, size=(out, 4), mode="bilinear", antialias=True, align_corners=False
    )
    torch.testing.assert_close(rows @ pictures[0, 0], expected[0, 0], atol=1e-6, rtol=0)


def test_the_whole_picture_stays_as_it_is() -> None:
    pictures = torch.rand(2, 3, 9, 13)
    whole = torch.tensor([[0.0, 0.0, 9.0, 13.0]]).expand(2, 4)
    torch.testing.assert_close(resized_crop(pictures, whole), pictures)


def test_boxes_are_inside_and_as_the_paper_draws_them() -> None:
    boxes = draw_boxes(50_000, 64, 64, 0.08, torch.Generator().manual_seed(0)).double()
    top, left, height, width = boxes.T
    assert (top >= 0).all()
    assert (top + height <= 64 + 1e-4).all()
    assert (left + width <= 64 + 1e-4).all()
    area, shape = height * width / 64**2, (width / height).log()
    assert area.min() >= 0.08 - 1e-6
    assert shape.abs().max() <= math.log(4 / 3) + 1e-6
    # Shapes up to 4:3 always fit below 3/4 of the area, so that area and shape are uniform there.
    small = area < 0.74
    assert area[small].mean() == pytest.approx((0.08 + 0.74) / 2, abs=0.005)
    assert shape[small].mean() == pytest.approx(0, abs=0.005)
    assert shape[small].std() == pytest.approx(2 * math.log(4 / 3) / math.sqrt(12), rel=0.02)
    place = top[small] / (64 - height[small])
    assert place.mean() == pytest.approx(0.5, abs=0.01)
