"""Winograd's convolution against torch's in float64, gradient for gradient, on any map size and padding."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from plusx import ops
from plusx.ops.convolution import winograd


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _assert_close(mine: torch.Tensor, truth: torch.Tensor) -> None:
    """Equal up to rounding, which grows with the largest sums, not with each result."""
    assert mine.shape == truth.shape
    assert (mine.double() - truth).abs().max() <= 1e-4 * max(1.0, truth.abs().max().item())


def _sizes(data) -> tuple[int, int, int, int, int]:
    """N, C_in, C_out, H and W of pictures and kernels that Winograd's loops take."""
    N = data.draw(st.integers(1, 5), label="N")
    C_in, C_out = (8 * data.draw(st.integers(1, 5), label=name) for name in ("eights in", "eights out"))
    H, W = data.draw(st.integers(3, 14), label="H"), data.draw(st.integers(3, 14), label="W")
    return N, C_in, C_out, H, W


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_sums_and_weight_gradients_equal_torchs(data) -> None:
    N, C_in, C_out, H, W = _sizes(data)
    top, bottom, left, right = (data.draw(st.integers(0, 2), label="padding") for _ in range(4))
    layout = data.draw(st.sampled_from([torch.contiguous_format, torch.channels_last]))
    x = _random(N, C_in, H, W).contiguous(memory_format=layout)
    weight = _random(C_out, C_in, 3, 3, seed=1)
    bias = _random(C_out, seed=2) if data.draw(st.booleans(), label="bias") else None
    # An output of any size from 1 on reads the picture from its corner, and need not read all of it.
    size = tuple(data.draw(st.integers(1, most)) for most in (H + top + bottom - 2, W + left + right - 2))

    wide = weight.double().requires_grad_()
    padded = F.pad(x.double(), (left, right, top, bottom))
    truth = F.conv2d(padded, wide, None if bias is None else bias.double())[:, :, : size[0], : size[1]]
    _assert_close(winograd.convolve(x, weight, bias, size, (top, left)), truth)
    grad = _random(*truth.shape, seed=3).contiguous(memory_format=layout)
    (expected,) = torch.autograd.grad(truth, wide, grad.double())
    _assert_close(winograd.weight_gradient(x, grad, (top, left)), expected)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_bfloat16_is_computed_in_float32_and_rounded_once(data) -> None:
    N, C_in, C_out, H, W = _sizes(data)
    layout = data.draw(st.sampled_from([torch.contiguous_format, torch.channels_last]))
    x, grad = (_random(N, C, H, W, seed=C).bfloat16().contiguous(memory_format=layout) for C in (C_in, C_out))
    weight = _random(C_out, C_in, 3, 3, seed=1).bfloat16()
    bias = _random(C_out, seed=2).bfloat16() if data.draw(st.booleans(), label="bias") else None
    y = winograd.convolve(x, weight, bias, (H, W), (1, 1))
    assert y.dtype == torch.bfloat16
    wide = winograd.convolve(
        x.float(), weight.float(), None if bias is None else bias.float(), (H, W), (1, 1)
    )
    assert torch.equal(y, wide.bfloat16())
    dw = winograd.weight_gradient(x, grad, (1, 1))
    assert dw.dtype == torch.bfloat16
    assert torch.equal(dw, winograd.weight_gradient(x.float(), grad.float(), (1, 1)).bfloat16())


@pytest.mark.parametrize("bias", [True, False])
def test_in_bfloat16_all_gradients_are_as_exact_as_torchs(bias: bool, monkeypatch) -> None:
    monkeypatch.setattr(winograd, "bfloat16_units", lambda: ())
    x = _random(40, 32, 8, 8).bfloat16().contiguous(memory_format=torch.channels_last).requires_grad_()
    weight, b = (_random(*s, seed=len(s)).bfloat16().requires_grad_() for s in ((48, 32, 3, 3), (48,)))
    inputs = [x, weight, b] if bias else [x, weight]
    wide = [t.detach().double().requires_grad_() for t in inputs]
    truth = F.conv2d(*wide, padding=1)
    grad = _random(*truth.shape, seed=3).bfloat16()
    expected = [truth, *torch.autograd.grad(truth, wide, grad.double())]

    def errors(engine: str) -> list[float]:
        y = ops.conv2d(*inputs, padding=1, engine=engine)
        found = [y, *torch.autograd.grad(y, inputs, grad)]
        assert {t.dtype for t in found} == {torch.bfloat16}
        return [(f.double() - e).abs().max().item() for f, e in zip(found, expected, strict=True)]

    for mine, theirs in zip(errors("handmade"), errors("native"), strict=True):
        assert mine <= 1.5 * theirs


@pytest.mark.parametrize("size", [4, 8, 13])
def test_it_serves_the_handmade_engine_with_all_gradients(size, monkeypatch) -> None:
    x = _random(40, 32, size, size).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight, bias = _random(48, 32, 3, 3, seed=1).requires_grad_(), _random(48, seed=2).requires_grad_()
    calls: list[str] = []
    for name in ("convolve", "weight_gradient"):
        real = getattr(winograd, name)
        monkeypatch.setattr(winograd, name, lambda *a, real=real, name=name: calls.append(name) or real(*a))
    monkeypatch.setattr(winograd, "FEW_TILES", 1)
    y = ops.conv2d(x, weight, bias, padding=1, engine="handmade")
    grad = _random(*y.shape, seed=3)
    got = torch.autograd.grad(y, (x, weight, bias), grad)
    assert calls == ["convolve", "convolve", "weight_gradient"]
    wide = [t.detach().double().requires_grad_() for t in (x, weight, bias)]
    truth = F.conv2d(*wide, padding=1)
    _assert_close(y.detach(), truth)
    for mine, expected in zip(got, torch.autograd.grad(truth, wide, grad.double()), strict=True):
        _assert_close(mine, expected)


@pytest.mark.parametrize(
    ("units", "suits"), [((), True), (("avx512_bf16",), True), (("amx_bf16", "avx512_bf16"), False)]
)
def test_bfloat16_is_left_to_amx_where_it_is(units, suits, monkeypatch) -> None:
    monkeypatch.setattr(winograd, "bfloat16_units", lambda: units)
    x, ones = torch.empty(200, 64, 16, 16, dtype=torch.bfloat16), (1, 1)
    assert winograd.suits(x, 64, (3, 3), (16, 16), ones, ones, ones, 1) == suits


def test_what_it_cannot_do_goes_another_way() -> None:
    x, size, ones = torch.empty(200, 64, 16, 16), (16, 16), (1, 1)
    assert winograd.suits(x, 64, (3, 3), size, ones, ones, ones, 1)
    assert not winograd.suits(x.double(), 64, (3, 3), size, ones, ones, ones, 1)
    assert not winograd.suits(x, 64, (3, 3), (8, 8), (2, 2), ones, ones, 1)
    assert not winograd.suits(x, 64, (3, 3), size, ones, (3, 1), ones, 1)
    assert not winograd.suits(x, 64, (3, 3), size, ones, ones, (2, 2), 1)
    assert not winograd.suits(x, 64, (3, 3), size, ones, ones, ones, 2)
    assert not winograd.suits(x, 64, (5, 5), size, ones, ones, ones, 1)
    assert not winograd.suits(x[:, :20], 64, (3, 3), size, ones, ones, ones, 1)  # no multiple of eight
    assert not winograd.suits(x, 20, (3, 3), size, ones, ones, ones, 1)
    assert winograd.suits(x[:4], 64, (3, 3), size, ones, ones, ones, 1)
    assert not winograd.suits(x[:3], 64, (3, 3), size, ones, ones, ones, 1)  # 48 tiles
    # A tile computes 16 pixels; on a 2×2 map 4 of them count, on 3×3 9, and four tiles on 5×5 25 of 64.
    for side, served in ((2, False), (3, True), (5, False), (6, True)):
        few = x[..., :side, :side]
        assert winograd.suits(few, 64, (3, 3), (side, side), ones, ones, ones, 1) == served
    assert not winograd.suits(x.to("meta"), 64, (3, 3), size, ones, ones, ones, 1)


@pytest.mark.parametrize(("weights", "tiles"), [(16 * 16, 128), (24 * 24, 256)])
def test_little_work_does_not_pay(weights, tiles, monkeypatch) -> None:
    monkeypatch.setattr(winograd, "MIN_WEIGHTS", weights)
    monkeypatch.setattr(winograd, "MIN_TILES", tiles)
    x, size = torch.empty(200, 64, 16, 16).contiguous(memory_format=torch.channels_last), (16, 16)
    assert winograd.pays(x[: tiles // 16], 64, size)
    assert not winograd.pays(x[: tiles // 16 - 1], 64, size)
    few = x[:, :24].contiguous(memory_format=torch.channels_last)
    assert winograd.pays(few, weights // 24 + 1, size)
    assert not winograd.pays(few, weights // 24 - 1, size)
    assert not winograd.pays(few.contiguous(), 24, size)  # they have to be rearranged first
    assert not winograd.pays(few[:28], 24, size)  # 448 tiles, 576 products a tile and element


@pytest.mark.parametrize(
    ("shape", "C_out", "pays"),
    [
        ((500, 64, 8, 8), 96, True),
        ((500, 64, 4, 4), 96, False),  # 500 tiles
        ((500, 24, 8, 8), 24, False),  # 2000 tiles of 576 products
        ((2000, 64, 4, 4), 96, True),
        ((2000, 64, 7, 7), 64, False),  # of each four tiles 49 pixels lie on the map, 15 do not
        ((2000, 64, 15, 15), 64, True),
        ((2000, 16, 32, 32), 16, False),
    ],
)
def test_bfloat16_pays_on_wide_units_with_much_to_do(shape, C_out, pays, monkeypatch) -> None:
    monkeypatch.setattr(winograd, "WIDE_UNITS", True)
    monkeypatch.setattr(winograd, "MIN_WEIGHTS", 24 * 24)
    x = torch.empty(shape, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    assert winograd.pays(x, C_out, shape[2:]) == pays
    assert not winograd.pays(x.contiguous(), C_out, shape[2:])
    monkeypatch.setattr(winograd, "WIDE_UNITS", False)
    assert not winograd.pays(x, C_out, shape[2:])


def test_the_same_bits_each_time() -> None:
    x, weight = _random(50, 24, 8, 8), _random(24, 24, 3, 3, seed=1)
    first, second = (winograd.convolve(x, weight, None, (8, 8), (1, 1)) for _ in range(2))
    assert torch.equal(first, second)
    first, second = (winograd.weight_gradient(x, first, (1, 1)) for _ in range(2))
    assert torch.equal(first, second)


def test_pictures_wider_than_the_tiles_taken_at_a_time(three_threads) -> None:
    x, weight = _random(2, 8, 9, 300), _random(16, 8, 3, 3, seed=1).double().requires_grad_()
    truth = F.conv2d(x.double(), weight, padding=1)
    grad = _random(*truth.shape, seed=3)
    (expected,) = torch.autograd.grad(truth, weight, grad.double())
    _assert_close(winograd.convolve(x, weight.detach().float(), None, (9, 300), (1, 1)), truth.detach())
    _assert_close(winograd.weight_gradient(x, grad, (1, 1)), expected)


@pytest.mark.parametrize("N", [1, 7])
@pytest.mark.parametrize("most_sums", [1, 2**26])
def test_threads_share_the_rows_of_tiles(N: int, most_sums: int, three_threads, monkeypatch) -> None:
    monkeypatch.setattr(winograd, "MOST_SUMS", most_sums)  # with 1 only one thread sums up
    x, weight = _random(N, 16, 30, 8), _random(24, 16, 3, 3, seed=1).double().requires_grad_()
    truth = F.conv2d(x.double(), weight, padding=1)
    grad = _random(*truth.shape, seed=3)
    (expected,) = torch.autograd.grad(truth, weight, grad.double())
    _assert_close(winograd.convolve(x, weight.detach().float(), None, (30, 8), (1, 1)), truth.detach())
    _assert_close(winograd.weight_gradient(x, grad, (1, 1)), expected)
