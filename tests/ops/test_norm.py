"""Batch normalisation of any shape: three engines, torch and finite differences against each other."""

from importlib import import_module

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from plusx import ops


def _random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    seed = sum(shape)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(3, 2, 4, 5), (6, 2), (3, 2, 5)])
def test_batch_norm_in_three_engines(training, shape) -> None:
    x, weight, bias = _random(*shape), _random(2), _random(2)
    results = {}
    for name in ("reference", "handmade", "native"):
        mean, var = torch.tensor([0.5, -1.0]).double(), torch.tensor([2.0, 0.5]).double()
        with torch.set_grad_enabled(name != "reference"):
            y = ops.batch_norm(x, mean, var, weight, bias, training, 0.3, 1e-3, engine=name)
        results[name] = [y, mean, var]
        if name != "reference":
            results[name] += torch.autograd.grad(y.sin().sum(), (x, weight, bias))
    torch.testing.assert_close(results["handmade"][:3], results["reference"])
    torch.testing.assert_close(results["handmade"], results["native"])


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_gradients_equal_finite_differences_twice(training) -> None:
    def normalise(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        mean, var = torch.tensor([0.5, -1.0]).double(), torch.tensor([2.0, 0.5]).double()
        return ops.batch_norm(x, mean, var, weight, bias, training, engine="handmade")

    inputs = _random(3, 2, 4), _random(2), _random(2)
    for given_inputs in (inputs, inputs[:1]):
        assert gradcheck(normalise, given_inputs)
        assert gradgradcheck(normalise, given_inputs)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_batch_norm_equals_torch_for_any_shape_and_dtype(data) -> None:
    # Not pictures: those take the fused passes, which have tests of their own.
    axes = data.draw(st.sampled_from([0, 1, 3]), label="axes after N and C")
    shape = tuple(data.draw(st.integers(low, 6)) for low in (2, 1, *[1] * axes))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
    wide = torch.promote_types(dtype, torch.float32)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    x = (torch.randn(shape, generator=generator) * 3 + 5).to(dtype)
    weight, bias = torch.randn(2, shape[1], generator=generator, dtype=wide)
    grad = torch.randn(shape, generator=generator).to(dtype)
    training = data.draw(st.booleans())
    results = []
    # Against torch on the same numbers in float64, which torch itself would round in bfloat16.
    for engine, cast in (("handmade", lambda t: t.clone()), ("native", lambda t: t.double())):
        leaves = [cast(t).requires_grad_() for t in (x, weight, bias)]
        running = [cast(torch.zeros(shape[1], dtype=wide)), cast(torch.ones(shape[1], dtype=wide))]
        y = ops.batch_norm(leaves[0], *running, *leaves[1:], training, eps=0.1, engine=engine)
        results.append([y, *running, *torch.autograd.grad(y, leaves, cast(grad))])
    assert [t.dtype for t in results[0]] == [dtype, wide, wide, dtype, wide, wide]
    tolerance = {torch.bfloat16: 2e-2, torch.float32: 1e-4, torch.float64: 1e-8}[dtype]
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=tolerance, atol=tolerance)


def test_batch_norm_of_large_numbers_does_not_cancel(monkeypatch) -> None:
    monkeypatch.setattr(import_module("plusx.ops.chunks"), "CHUNK_BYTES", 64)
    # Not pictures: those take the fused passes, which know no chunks.
    x = (_random(16, 2, 16, dtype=torch.float32).detach() + 10_000).requires_grad_()
    with torch.no_grad():
        assert len(list(import_module("plusx.ops.chunks").chunks(x))) > 1
    y = ops.batch_norm(x, None, None, training=True, engine="handmade")
    copy, grad = x.detach().double().requires_grad_(), _random(16, 2, 17).detach()[..., 1:]
    truth = F.batch_norm(copy, None, None, training=True)
    torch.testing.assert_close(y.double(), truth, rtol=0, atol=5e-3)
    (mine,), (theirs,) = torch.autograd.grad(y, x, grad.float()), torch.autograd.grad(truth, copy, grad)
    torch.testing.assert_close(mine.double(), theirs, rtol=0, atol=5e-3)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 5), (0, 3, 4, 5), (2, 3, 0, 5)])
@pytest.mark.parametrize("name", ["reference", "handmade", "native"])
def test_batch_norm_of_an_empty_batch_is_empty_and_moves_nothing(name, shape, training) -> None:
    mean, var = torch.zeros(3), torch.ones(3)
    y = ops.batch_norm(torch.zeros(shape), mean, var, None, None, training, activation="relu", engine=name)
    assert y.shape == shape
    assert torch.equal(mean, torch.zeros(3))
    assert torch.equal(var, torch.ones(3))


def test_batch_norm_refuses_what_has_no_statistics() -> None:
    for name in ("reference", "handmade", "native"):
        with pytest.raises(ValueError, match="more than 1 value"):
            ops.batch_norm(torch.zeros(1, 2), None, None, training=True, engine=name)
        with pytest.raises(ValueError, match="needs running_mean"):
            ops.batch_norm(torch.zeros(1, 2), None, None, engine=name)
