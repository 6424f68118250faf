import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from plusx.data import channel_statistics

shapes = st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.just(3))


@given(npst.arrays(np.uint8, shapes))
def test_equals_numpy_in_float64(images):
    mean, std = channel_statistics(images)
    values = images.reshape(-1, 3) / 255
    np.testing.assert_allclose(mean, values.mean(0), rtol=1e-13)
    np.testing.assert_allclose(std, values.std(0), rtol=1e-10, atol=1e-14)
    assert mean.dtype == std.dtype == np.float64


def test_nothing_is_lost_over_many_pictures():
    # Half 254 and half 255: a single-precision sum of squares would lose the difference altogether.
    images = np.full((6001, 4, 4, 3), 254, np.uint8)
    images[:, :2] = 255
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, 254.5 / 255, rtol=1e-15)
    np.testing.assert_allclose(std, 0.5 / 255, rtol=1e-15)


@pytest.mark.parametrize(
    "images", [np.zeros((0, 2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8), np.ones((1, 2, 2, 3))]
)
def test_something_else_is_an_error(images):
    with pytest.raises(ValueError, match="expected uint8 pictures"):
        channel_statistics(images)
