"""Eight numbers at a time against NumPy, number for number."""

import numpy as np
import pytest
from numba.core.errors import TypingError

from plusx.ops.lanes import load, noughts, plus_product, spread, store
from plusx.ops.loops import compiled

HALF = np.float32(0.5)


@compiled
def _calculate(x, y, out):
    a, b = load(x, 0), load(y, 1)
    for k, lanes in enumerate((a + b, a - b, a * b, HALF * a - b, spread(y, 2) + noughts())):
        store(out, 8 * k, lanes)
    store(out, 40, plus_product(a, b, spread(x, 3)))


@pytest.mark.parametrize("shape", [(12,), (3, 4)])
def test_operators_equal_numpys(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    x, y = (generator.standard_normal(shape, np.float32) for _ in range(2))
    out = np.full(50, np.float32(7))
    _calculate(x, y, out)
    a, b = x.reshape(-1)[:8], y.reshape(-1)[1:9]
    expected = [a + b, a - b, a * b, a / 2 - b, np.full(8, y.reshape(-1)[2]), a + b * x.reshape(-1)[3]]
    np.testing.assert_allclose(out[:48].reshape(6, 8), expected, rtol=1e-6, atol=1e-6)
    assert (out[48:] == 7).all()


@compiled
def _copy(x, out):
    store(out, 0, load(x, 0))


@pytest.mark.parametrize("x", [np.zeros(8), np.zeros(16, np.float32)[::2], np.zeros(8, np.uint16)])
def test_other_arrays_are_refused(x) -> None:
    out = np.zeros(8, np.float32)
    with pytest.raises(TypingError, match="float32 arrays without gaps"):
        _copy(x, out)
    with pytest.raises(TypingError, match="float32 arrays without gaps"):
        _copy(out, x)
