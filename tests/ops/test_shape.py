"""The output size against torch's own arithmetic and the figures of the lesson."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from plusx.ops import output_size


def test_figures_known_from_the_literature() -> None:
    assert output_size(224, 7, stride=2, padding=3) == 112  # ResNet's first convolution
    assert output_size(112, 3, stride=2, padding=1) == 56  # and its max pooling
    assert output_size(4, 2, stride=2) == 2  # the lesson's pooling example
    assert output_size((32, 20), (3, 5), (1, 2), (1, 2)) == (32, 10)


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_equals_the_size_torch_returns(size, kernel, stride, padding, dilation) -> None:
    try:
        expected = tuple(
            F.conv2d(
                torch.zeros(1, 1, *size), torch.zeros(1, 1, *kernel), None, stride, padding, dilation
            ).shape[2:]
        )
    except RuntimeError:
        with pytest.raises(ValueError, match="spans"):
            output_size(size, kernel, stride, padding, dilation)
    else:
        assert output_size(size, kernel, stride, padding, dilation) == expected


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 15),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 5),
    dilation=st.integers(1, 3),
    data=st.data(),
)
def test_ceil_mode_equals_the_size_torch_returns(size, kernel, stride, dilation, data) -> None:
    padding = data.draw(st.integers(0, kernel // 2))
    x = torch.zeros(1, 1, size, size)
    try:
        expected = F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode=True).shape[2]
    except RuntimeError:
        with pytest.raises(ValueError, match="spans"):
            output_size(size, kernel, stride, padding, dilation, ceil_mode=True)
    else:
        assert output_size(size, kernel, stride, padding, dilation, ceil_mode=True) == expected


@given(
    size=st.integers(1, 50), kernel=st.integers(1, 7), stride=st.integers(1, 5), dilation=st.integers(1, 3)
)
def test_same_gives_the_size_over_the_stride_rounded_up(size, kernel, stride, dilation) -> None:
    assert output_size(size, kernel, stride, "same", dilation) == -(-size // stride)


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ({"size": 4, "kernel_size": 7}, "kernel_size 7 .* size 4 with padding 0"),
        ({"size": 4, "kernel_size": 0}, "kernel_size .* at least 1; got 0"),
        ({"size": 4, "kernel_size": 2, "stride": 0}, "stride .* got 0"),
        ({"size": 4, "kernel_size": 2, "padding": -1}, "padding .* got -1"),
        ({"size": 4, "kernel_size": 2, "padding": "full"}, "'full'"),
        ({"size": 4, "kernel_size": (1, 2, 3)}, "one or two"),
        ({"size": 4, "kernel_size": 2.0}, "kernel_size .* whole numbers .* got 2.0"),
        ({"size": 7, "kernel_size": (2.5, 2.5)}, r"kernel_size .* whole numbers .* got \(2.5, 2.5\)"),
        ({"size": 4, "kernel_size": 2, "padding": 0.5}, "padding .* whole numbers .* got 0.5"),
    ],
)
def test_impossible_sizes_name_the_numbers(arguments, numbers) -> None:
    with pytest.raises(ValueError, match=numbers):
        output_size(**arguments)


def test_numpys_whole_numbers_are_numbers() -> None:
    one, two = output_size(np.int64(32), np.int32(3), 1, 1), output_size((np.int64(32), 8), 3, 1, 1)
    assert (one, two) == (32, (32, 8))
    assert {type(one), *map(type, two)} == {int}
