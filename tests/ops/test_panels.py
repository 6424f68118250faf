"""Products in panels against NumPy's, in all the ways that Winograd's convolution asks for them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from plusx.ops.convolution import panels as module
from plusx.ops.convolution.panels import PANEL, place_in_panels, products


@pytest.fixture(scope="module", params=[False, True])
def multiply(request):
    """`products`, compiled for vectors of eight and for vectors of sixteen, whatever this processor has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TWO_PANELS", request.param)
        yield njit(products.py_func)


def in_columns(b: np.ndarray) -> np.ndarray:
    """(matrices, rows, columns) → (matrices, panels, rows, 16)."""
    return np.ascontiguousarray(b.reshape(*b.shape[:2], -1, PANEL).transpose(0, 2, 1, 3))


@given(
    matrices=st.integers(1, 3),
    rows=st.integers(1, 9),
    panels=st.integers(1, 3),
    length=st.integers(1, 20),
    transposed=st.booleans(),
    add=st.booleans(),
    gap=st.integers(0, 5),
)
def test_products_equal_numpys(multiply, matrices, rows, panels, length, transposed, add, gap) -> None:
    generator = np.random.default_rng(0)
    room = -(-rows // 4) * 4
    a = generator.standard_normal((matrices, room, length + gap), np.float32)
    b = generator.standard_normal((matrices, length, panels * PANEL), np.float32)
    c = generator.standard_normal((matrices, panels + 1, room, PANEL), np.float32)  # one that stays as it is
    before = c.copy()
    stored, steps = a, (length + gap, 1)
    if transposed:
        stored, steps = np.ascontiguousarray(a.transpose(0, 2, 1)), (1, room)
    a_at, b_at, c_at = (
        (a[0].size, *steps),
        (panels * length * PANEL, length * PANEL),
        (c[0].size, room * PANEL),
    )
    sides = (matrices, rows, panels, length)
    multiply(sides, stored.reshape(-1), a_at, in_columns(b).reshape(-1), b_at, c.reshape(-1), c_at, add)
    truth = in_columns(a[:, :rows, :length].astype(np.float64) @ b)
    expected = truth + (before[:, :panels, :rows] if add else 0)
    np.testing.assert_allclose(c[:, :panels, :rows], expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(c[:, panels], before[:, panels])


def test_a_column_is_found_in_its_panel() -> None:
    b = np.arange(2 * 5 * 32, dtype=np.float32).reshape(2, 5, 32)
    flat = in_columns(b)[1].reshape(-1)
    place = place_in_panels.py_func
    assert all(flat[place(c, row, 5)] == b[1, row, c] for c in range(32) for row in range(5))
