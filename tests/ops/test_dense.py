"""Batch norm, ReLU, linear and the loss: three engines, torch and finite differences against each other."""

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

    inputs = _random(3, 2, 2, 3), _random(2), _random(2)
    for given_inputs in (inputs, inputs[:1]):
        assert gradcheck(normalise, given_inputs)
        assert gradgradcheck(normalise, given_inputs)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_batch_norm_equals_torch_for_any_shape_dtype_and_layout(data) -> None:
    shape = tuple(data.draw(st.integers(low, 6)) for low in (2, 1, 1, 1))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
    layout = data.draw(st.sampled_from([torch.contiguous_format, torch.channels_last]))
    wide = torch.promote_types(dtype, torch.float32)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    x = (torch.randn(shape, generator=generator) * 3 + 5).to(dtype).contiguous(memory_format=layout)
    weight, bias = torch.randn(2, shape[1], generator=generator, dtype=wide)
    grad = torch.randn(shape, generator=generator).to(dtype)
    training = data.draw(st.booleans())
    results = []
    # Against torch on the same numbers in float64: in bfloat16 torch itself differs from layout to layout.
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


def test_relu() -> None:
    x = torch.tensor([-1.0, -0.0, 0.0, 2.0, torch.nan, torch.inf]).requires_grad_()
    results = [ops.relu(x.detach(), engine="reference")]
    for name in ("handmade", "native"):
        y = ops.relu(x, engine=name)
        torch.testing.assert_close(y, results[0], equal_nan=True)
        results.append(torch.autograd.grad(y, x, torch.arange(1.0, 7.0))[0])
    assert torch.equal(results[1], results[2])
    away_from_zero = (_random(3, 4).detach() * 2).round().add(0.5).requires_grad_()
    assert gradcheck(lambda x: ops.relu(x, engine="handmade"), (away_from_zero,))
    assert gradgradcheck(lambda x: ops.relu(x, engine="handmade"), (away_from_zero,))
    single = torch.tensor(2.0, requires_grad=True)
    assert torch.autograd.grad(ops.relu(single, engine="handmade"), single)[0] == 1


def test_hardswish() -> None:
    x = torch.tensor([-5.0, -3.0, -1.5, -0.0, 1.0, 3.0, 7.0, torch.nan], dtype=torch.float64).requires_grad_()
    expected = ops.hardswish(x.detach(), engine="reference")
    for name in ("handmade", "native"):
        torch.testing.assert_close(ops.hardswish(x, engine=name), expected, equal_nan=True)
    away_from_knees = _random(3, 4).detach().clamp(-2.5, 2.5) + torch.tensor([0.0, 7.0, -7.0, 0.3])
    away_from_knees.requires_grad_()
    assert gradcheck(lambda x: ops.hardswish(x, engine="handmade"), (away_from_knees,))
    assert gradgradcheck(lambda x: ops.hardswish(x, engine="handmade"), (away_from_knees,))


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5), (5,), (0, 5)])
def test_linear(shape) -> None:
    x, weight, bias = _random(*shape), _random(4, 5), _random(4)
    results = {}
    for name in ("handmade", "native"):
        y = ops.linear(x, weight, bias, engine=name)
        results[name] = y, *torch.autograd.grad(y.sin().sum(), (x, weight, bias))
    torch.testing.assert_close(results["handmade"], results["native"])
    with torch.no_grad():
        torch.testing.assert_close(ops.linear(x, weight, bias, engine="reference"), results["native"][0])
    with pytest.raises(ValueError, match="does not fit"):
        ops.linear(x, weight[:, :3])
    for wrong in (torch.zeros(3), torch.zeros(2, 1)):
        with pytest.raises(ValueError, match="does not fit"):
            ops.linear(x, weight, wrong, engine="handmade")
    with pytest.raises(ValueError, match="one dtype"):
        ops.linear(x, weight, bias.float(), engine="handmade")


def test_linear_gradients_equal_finite_differences_twice() -> None:
    inputs = _random(2, 3), _random(4, 3), _random(4)
    assert gradcheck(lambda *t: ops.linear(*t, engine="handmade"), inputs)
    assert gradgradcheck(lambda *t: ops.linear(*t, engine="handmade"), inputs)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
def test_cross_entropy(reduction, smoothing) -> None:
    logits = (_random(4, 5).detach() * 30).requires_grad_()
    target = torch.tensor([0, 4, 2, 2])
    with torch.no_grad():
        truth = ops.cross_entropy(logits, target, smoothing, reduction, engine="reference")
    gradients = []
    for name in ("handmade", "native"):
        loss = ops.cross_entropy(logits, target, smoothing, reduction, engine=name)
        torch.testing.assert_close(loss, truth)
        gradients.append(torch.autograd.grad(loss.square().sum(), logits)[0])
    torch.testing.assert_close(*gradients)
    mild = _random(4, 5)
    assert gradcheck(lambda z: ops.cross_entropy(z, target, smoothing, reduction, engine="handmade"), (mild,))
    assert gradgradcheck(
        lambda z: ops.cross_entropy(z, target, smoothing, reduction, engine="handmade"), (mild,)
    )


def test_cross_entropy_neither_overflows_nor_hides_an_empty_batch() -> None:
    logits, target = torch.tensor([[1e4, -1e4, 0.0]]), torch.tensor([1])
    for name in ("reference", "handmade", "native"):
        assert ops.cross_entropy(logits, target, engine=name).item() == pytest.approx(2e4)
        empty = ops.cross_entropy(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), engine=name)
        assert empty.isnan()


def test_a_class_that_is_masked_by_minus_infinity() -> None:
    logits = torch.tensor([[1.0, 2.0, -torch.inf]], requires_grad=True)
    for name in ("reference", "handmade", "native"):
        loss = ops.cross_entropy(logits.detach(), torch.tensor([1]), engine=name)
        assert loss.item() == pytest.approx(0.3132617)  # log(1 + 1/e)
    handmade, native = (
        torch.autograd.grad(ops.cross_entropy(logits, torch.tensor([1]), engine=name), logits)[0]
        for name in ("handmade", "native")
    )
    torch.testing.assert_close(handmade, native)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
@pytest.mark.parametrize("name", ["reference", "handmade", "native"])
def test_class_numbers_of_any_whole_type(name, dtype) -> None:
    logits = _random(4, 3).detach()
    loss = ops.cross_entropy(logits, torch.tensor([0, 2, 1, 2], dtype=dtype), engine=name)
    torch.testing.assert_close(loss, F.cross_entropy(logits, torch.tensor([0, 2, 1, 2])))


def test_hardswish_of_large_numbers_in_float16() -> None:
    x = torch.tensor([20_000.0, -20_000.0], dtype=torch.float16)
    for name in ("reference", "handmade", "native"):
        assert ops.hardswish(x, engine=name).tolist() == [20_000.0, 0.0]


@pytest.mark.parametrize("wrong", [-100, -1, 3])
@pytest.mark.parametrize("name", ["reference", "handmade", "native"])
def test_no_engine_takes_a_class_that_is_not_there(name, wrong) -> None:
    with pytest.raises((IndexError, RuntimeError)):
        ops.cross_entropy(torch.zeros(2, 3), torch.tensor([1, wrong]), engine=name)


def test_cross_entropy_refuses_bad_arguments() -> None:
    logits, target = torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)
    for arguments, message in [
        ((logits, target[:1]), "class numbers"),
        ((logits, target.float()), "class numbers"),
        ((logits, target, 1.5), "between 0 and 1; got 1.5"),
        ((logits, target, 0.0, "max"), "got 'max'"),
    ]:
        with pytest.raises(ValueError, match=message):
            ops.cross_entropy(*arguments)


def test_autocast_gives_the_dtypes_torch_gives() -> None:
    x, weight, bias = _random(4, 5), _random(3, 5), _random(3)
    target = torch.tensor([0, 1, 2, 0])
    for dtype in (torch.float32, torch.float64):
        seen = []
        for name in ("reference", "handmade", "native"):
            with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
                y = ops.linear(x.to(dtype), weight.to(dtype), bias.to(dtype), engine=name)
                loss = ops.cross_entropy(y, target, engine=name)
                z = ops.batch_norm(
                    y,
                    None,
                    None,
                    weight[:, 0].to(torch.promote_types(y.dtype, torch.float32)),
                    None,
                    True,
                    engine=name,
                )
            seen.append((y.dtype, loss.dtype, z.dtype, ops.relu(y, engine=name).dtype))
        assert seen[0] == seen[1] == seen[2]


def test_a_whole_network_compiles_in_one_graph() -> None:
    x, weight, bias = _random(4, 5, dtype=torch.float32), _random(3, 5, dtype=torch.float32), torch.zeros(3)
    target = torch.tensor([0, 1, 2, 0])

    def network(x: Tensor, weight: Tensor) -> Tensor:
        with ops.engine("handmade"):
            y = ops.relu(ops.linear(x, weight, bias))
            y = ops.batch_norm(y, None, None, bias + 1, bias, True)
            return ops.cross_entropy(y, target, 0.1)

    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(
        torch.autograd.grad(compiled(x, weight), (x, weight)),
        torch.autograd.grad(network(x, weight), (x, weight)),
    )
