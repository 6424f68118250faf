"""The oracle itself, against sums written out on paper."""

import numpy as np
import pytest
import torch

from plusx import ops
from plusx.ops import reference

LESSON = np.array([[1, 4, 2, 8], [3, 9, 5, 7], [2, 6, 4, 1], [5, 3, 7, 2]], dtype=float)


def test_the_lessons_pooling_example() -> None:
    assert reference.max_pool2d(LESSON[:, :, None], 2)[:, :, 0].tolist() == [[9, 8], [6, 7]]
    averages = [[(1 + 4 + 3 + 9) / 4, (2 + 8 + 5 + 7) / 4], [(2 + 6 + 5 + 3) / 4, (4 + 1 + 7 + 2) / 4]]
    assert reference.avg_pool2d(LESSON[:, :, None], 2)[:, :, 0].tolist() == averages


def test_a_written_out_3x3_convolution() -> None:
    kernel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], dtype=float)[:, :, None, None]
    top_left = 1 * 1 + 0 * 4 - 1 * 2 + 2 * 3 + 0 * 9 - 2 * 5 + 1 * 2 + 0 * 6 - 1 * 4
    top_right = 1 * 4 + 0 * 2 - 1 * 8 + 2 * 9 + 0 * 5 - 2 * 7 + 1 * 6 + 0 * 4 - 1 * 1
    bottom_left = 1 * 3 + 0 * 9 - 1 * 5 + 2 * 2 + 0 * 6 - 2 * 4 + 1 * 5 + 0 * 3 - 1 * 7
    bottom_right = 1 * 9 + 0 * 5 - 1 * 7 + 2 * 6 + 0 * 4 - 2 * 1 + 1 * 3 + 0 * 7 - 1 * 2
    output = reference.conv2d(LESSON[:, :, None], kernel, [10.0])[:, :, 0]
    assert output.tolist() == [[top_left + 10, top_right + 10], [bottom_left + 10, bottom_right + 10]]


def test_the_kernel_is_not_turned_and_channels_are_last() -> None:
    picture, kernel = np.zeros((3, 3, 2)), np.zeros((2, 2, 2, 3))
    picture[1, 2, 1] = 5.0
    kernel[0, 1, 1, 2] = 7.0  # tap (0, 1) of output (1, 1) reads pixel (1, 2)
    output = reference.conv2d(picture, kernel)
    assert output[1, 1, 2] == 35.0
    assert np.count_nonzero(output) == 1


def test_stride_padding_dilation_and_groups_by_hand() -> None:
    row = np.array([1.0, 2.0, 3.0, 4.0])[None, :, None]
    taps = np.array([1.0, 10.0])[None, :, None, None]
    assert reference.conv2d(row, taps, stride=2).ravel().tolist() == [21, 43]
    assert reference.conv2d(row, taps, padding=(0, 1)).ravel().tolist() == [10, 21, 32, 43, 4]
    assert reference.conv2d(row, taps, padding="same").ravel().tolist() == [21, 32, 43, 4]
    assert reference.conv2d(row, taps, dilation=2).ravel().tolist() == [31, 42]
    two = np.array([2.0, 3.0])[None, None, :]
    assert reference.conv2d(two, np.array([5.0, 7.0])[None, None, None, :], groups=2).ravel().tolist() == [
        10,
        21,
    ]


def test_padding_takes_no_part_in_the_maximum_and_counts_in_the_average_on_demand() -> None:
    picture = np.full((2, 2, 1), -4.0)
    assert (reference.max_pool2d(picture, 2, padding=1) == -4).all()
    assert (reference.avg_pool2d(picture, 2, padding=1) == -1).all()
    assert (reference.avg_pool2d(picture, 2, padding=1, count_include_pad=False) == -4).all()


def test_batch_norm_linear_and_loss_by_hand() -> None:
    batch = np.array([1.0, 3.0, 5.0, 7.0]).reshape(2, 2, 1, 1)
    mean, variance = reference.batch_statistics(batch)
    assert (mean.tolist(), variance.tolist()) == ([4.0], [5.0])
    output = reference.batch_norm(batch, [4], [4], [2], [1], eps=0)
    assert output.ravel().tolist() == [-2, 0, 2, 4]
    assert reference.linear([[1, 2]], [[3, 4], [5, 6]], [7, 8]).tolist() == [[18, 25]]
    assert reference.cross_entropy([[0, np.log(3)]], [1]) == pytest.approx([np.log(4 / 3)])
    smoothed = 0.95 * np.log(4 / 3) + 0.05 * np.log(4)
    assert reference.cross_entropy([[0, np.log(3)]], [1], label_smoothing=0.1) == pytest.approx([smoothed])


def test_the_reference_engine_refuses_a_gradient() -> None:
    x = torch.ones(1, 1, 2, 2, requires_grad=True)
    with pytest.raises(RuntimeError, match="no gradient"):
        ops.max_pool2d(x, 2, engine="reference")
    with torch.no_grad():
        assert ops.max_pool2d(x, 2, engine="reference").item() == 1
