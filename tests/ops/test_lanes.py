"""Eight or sixteen numbers at a time against NumPy, number for number."""

import platform

import numba
import numpy as np
import pytest
import torch
from numba.core.errors import TypingError

from plusx.ops.compiling import compiled
from plusx.ops.lanes import (
    EIGHT_LANES,
    SIXTEEN_LANES,
    alike,
    broadcast,
    choose,
    load,
    noughts,
    plus_product,
    prefetch,
    store,
    turned,
)
from plusx.ops.parts import Known

HALF = np.float32(0.5)


@compiled
def _calculate(x, y, out, width):
    a, b, n = load(x, 0, width), load(y, 1, width), len(width)
    for k, lanes in enumerate((a + b, a - b, a * b, HALF * a - b, broadcast(y, 2, width) + noughts(width))):
        store(out, n * k, lanes)
    store(out, 5 * n, plus_product(a, b, broadcast(x, 3, width)))


@pytest.mark.parametrize("width", [EIGHT_LANES, SIXTEEN_LANES])
@pytest.mark.parametrize("shape", [(20,), (4, 5)])
def test_operators_equal_numpys(shape: tuple[int, ...], width: Known) -> None:
    generator = np.random.default_rng(0)
    x, y = (generator.standard_normal(shape, np.float32) for _ in range(2))
    n = len(width)
    out = np.full(6 * n + 2, np.float32(7))
    _calculate(x, y, out, width)
    a, b = x.reshape(-1)[:n], y.reshape(-1)[1 : n + 1]
    expected = [a + b, a - b, a * b, a / 2 - b, np.full(n, y.reshape(-1)[2]), a + b * x.reshape(-1)[3]]
    np.testing.assert_allclose(out[: 6 * n].reshape(6, n), expected, rtol=1e-6, atol=1e-6)
    assert (out[6 * n :] == 7).all()


@compiled
def _answer(x, y, number, out, whole, width):
    a, b = load(x, 0, width), load(y, 0, width)
    store(out, 0, choose(a > b, a, b))
    store(out, len(width), choose((a != a) | (b != b), number, a / b))
    store(whole, 0, alike(a, number))


@pytest.mark.parametrize("width", [EIGHT_LANES, SIXTEEN_LANES])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [np.uint8, np.int32])
def test_answers_choose_between_numbers(width: Known, dtype, kind) -> None:
    generator, n = np.random.default_rng(0), len(width)
    x, y = (generator.integers(1, 4, n).astype(dtype) for _ in range(2))
    x[1] = y[2] = np.nan
    out, whole = np.zeros(2 * n, dtype), np.zeros(n + 1, kind)
    _answer(x, y, dtype(7), out, whole, width)
    np.testing.assert_array_equal(out[:n], np.where(x > y, x, y))
    np.testing.assert_array_equal(out[n:], np.where(np.isnan(x) | np.isnan(y), 7, x / y))
    assert whole.tolist() == [7] * n + [0]


@compiled
def _turn(x, out):
    rows = (
        load(x, 0, EIGHT_LANES),
        load(x, 8, EIGHT_LANES),
        load(x, 16, EIGHT_LANES),
        load(x, 24, EIGHT_LANES),
        load(x, 32, EIGHT_LANES),
        load(x, 40, EIGHT_LANES),
        load(x, 48, EIGHT_LANES),
        load(x, 56, EIGHT_LANES),
    )
    columns = turned(rows)
    for k in range(8):
        store(out, 8 * k, columns[k])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_square_is_turned_over(dtype) -> None:
    x = np.arange(64, dtype=dtype).reshape(8, 8)
    out = np.zeros_like(x)
    _turn(x, out)
    np.testing.assert_array_equal(out, x.T)


def test_memory_is_asked_for_even_behind_the_end() -> None:
    ask = numba.njit(lambda x: prefetch(x, 5 * x.size))  # not kept: code from the disk can't be looked at
    ask(np.zeros(8, np.uint16))
    (assembly,) = ask.inspect_asm().values()
    assert "prefetch" in assembly or platform.machine().lower() not in ("x86_64", "amd64")


@compiled
def _copy(x, out, width):
    store(out, 0, load(x, 0, width))


@pytest.mark.parametrize("width", [EIGHT_LANES, SIXTEEN_LANES])
def test_bfloat16_is_widened_and_rounded_as_torch_does(width: Known) -> None:
    n, one = len(width), torch.tensor(1.0)
    special = [0.0, -0.0, -3e38, 3.4e38, 1e-40, torch.inf, -torch.inf, torch.nan]
    ties = [one + k / 256 for k in range(16)]
    numbers = torch.cat([torch.tensor([*special, *ties]), torch.randn(24, generator=torch.Generator())])
    for begin in range(0, len(numbers) - n + 1, 8):
        x, halves, wholes = numbers[begin:][:n], np.full(n + 2, 7, np.uint16), np.full(n + 2, np.float32(7))
        _copy(x.numpy(), halves, width)
        expected = x.bfloat16()
        assert torch.equal(torch.from_numpy(halves[:n].copy()).view(torch.bfloat16).isnan(), x.isnan())
        _copy(halves, wholes, width)
        np.testing.assert_array_equal(wholes[:n], expected.float().numpy())
        assert (halves[n:] == 7).all()
        assert (wholes[n:] == 7).all()


@pytest.mark.parametrize("x", [np.zeros(16, np.float32)[::2], np.zeros(8, np.int16), np.zeros(8, np.float16)])
def test_other_arrays_are_refused(x) -> None:
    out = np.zeros(8, np.float32)
    with pytest.raises(TypingError, match=r"arrays of \(.*float32.*\) without gaps"):
        _copy(x, out, EIGHT_LANES)
    with pytest.raises(TypingError, match=r"arrays of \(.*float32.*\) without gaps"):
        _copy(out, x, EIGHT_LANES)


def test_no_number_loses_digits_unasked() -> None:
    with pytest.raises(TypingError, match=r"arrays of \(float64, .*\) without gaps"):
        _copy(np.zeros(8), np.zeros(8, np.float32), EIGHT_LANES)


def test_nothing_is_written_to_what_is_for_reading_only() -> None:
    given, out = np.arange(8, dtype=np.float32), np.zeros(8, np.float32)
    given.setflags(write=False)
    _copy(given, out, EIGHT_LANES)
    assert (out == given).all()
    with pytest.raises(TypingError, match="for reading only"):
        _copy(out, given, EIGHT_LANES)


def test_a_width_that_the_compiler_does_not_know_is_refused() -> None:
    with pytest.raises(TypingError, match="must be `known`"):
        _copy(np.zeros(8, np.float32), np.zeros(8, np.float32), 8)
