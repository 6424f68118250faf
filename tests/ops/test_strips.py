"""The kernel's gradient on strips of pictures: the same sum, wherever the pictures lie."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from plusx import ops
from plusx.ops.convolution import strips
from plusx.ops.convolution.strips import StripConvolution


def _random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_all_gradients_equal_torchs_in_double_precision(data) -> None:
    N, C_in, C_out = (
        data.draw(st.integers(1, high), label=name) for high, name in ((15, "N"), (4, "in"), (4, "out"))
    )
    H, W = data.draw(st.integers(1, 9), label="H"), data.draw(st.integers(1, 9), label="W")
    P = data.draw(st.integers(1, 2), label="padding")
    layout = data.draw(st.sampled_from([torch.contiguous_format, torch.channels_last]))
    K = 2 * P + 1
    x = _random(N, C_in, H, W).contiguous(memory_format=layout).requires_grad_()
    weight = _random(C_out, C_in, K, K, seed=1).requires_grad_()
    bias = _random(C_out, seed=2).requires_grad_() if data.draw(st.booleans(), label="bias") else None
    inputs = [v for v in (x, weight, bias) if v is not None]

    truth = F.conv2d(x, weight, bias, padding=P)
    mine = StripConvolution.apply(x, weight, bias, P)
    assert torch.equal(mine, truth)
    grad = _random(*truth.shape, seed=3).contiguous(memory_format=layout)
    for found, expected in zip(
        torch.autograd.grad(mine, inputs, grad), torch.autograd.grad(truth, inputs, grad), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_no_picture_sees_its_neighbour() -> None:
    """A strip holds several maps, each followed by its gap; the last strip is filled up with zeros."""
    x = torch.ones(8, 2, 4, 4)
    strip = strips.lay_out(x, 1)
    assert strip.shape == (2, 2, 4, 30)
    assert strip.sum() == x.sum()
    assert not strip[:, :, :, 4::5].any()


def test_it_can_be_differentiated_twice() -> None:
    x, weight = _random(7, 2, 3, 3).requires_grad_(), _random(3, 2, 3, 3, seed=1).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x, w: StripConvolution.apply(x, w, None, 1), (x, weight))


@pytest.mark.parametrize("wanted", [(True, False), (False, True)])
def test_only_the_gradients_that_are_wanted(wanted: tuple[bool, bool]) -> None:
    x, weight = _random(7, 2, 3, 3), _random(3, 2, 3, 3, seed=1)
    for v, needed in zip((x, weight), wanted, strict=True):
        v.requires_grad_(needed)
    StripConvolution.apply(x, weight, None, 1).sum().backward()
    assert ((x.grad is not None), (weight.grad is not None)) == wanted


def _used(x: torch.Tensor, weight: torch.Tensor, engine: str | None = None, **how) -> bool:
    y = ops.conv2d(x, weight.requires_grad_(), engine=engine, **how)
    return "StripConvolution" in type(y.grad_fn).__name__


def test_a_convolution_takes_them_where_they_are_faster_and_nobody_named_an_engine(monkeypatch) -> None:
    monkeypatch.setattr(strips, "bfloat16_units", lambda: ["amx_bf16"])
    small, weight = _random(128, 64, 8, 8, dtype=torch.bfloat16), _random(256, 64, 3, 3, dtype=torch.bfloat16)
    assert _used(small, weight, padding=1)
    assert _used(small, weight, padding="same")
    assert not _used(small, weight, padding=1, engine="native")
    assert not _used(small, weight, padding=1, engine="handmade")
    assert not _used(small, weight)
    assert not _used(small, weight, padding=1, stride=2)
    assert not _used(small.float(), weight.detach().float(), padding=1)
    assert not _used(_random(128, 64, 9, 9, dtype=torch.bfloat16), weight, padding=1)
    assert not _used(small[:2], weight, padding=1)
    monkeypatch.setattr(strips, "bfloat16_units", lambda: ["avx512_bf16"])
    assert not _used(small, weight, padding=1)


def test_bfloat16_is_as_exact_as_torchs() -> None:
    x, grad = (_random(64, 32, 4, 4, seed=s, dtype=torch.bfloat16) for s in (0, 1))
    weight = _random(64, 32, 3, 3, dtype=torch.bfloat16).requires_grad_()
    grad = torch.cat([grad, grad], 1)
    (mine,) = torch.autograd.grad(StripConvolution.apply(x, weight, None, 1), weight, grad)
    wide = weight.detach().double().requires_grad_()
    (truth,) = torch.autograd.grad(F.conv2d(x.double(), wide, padding=1), wide, grad.double())
    (theirs,) = torch.autograd.grad(F.conv2d(x, weight, padding=1), weight, grad)
    error, their_error = ((v.double() - truth).abs().max() for v in (mine, theirs))
    assert error <= 1.5 * their_error
