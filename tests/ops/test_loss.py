"""Cross-entropy: three engines, torch and finite differences against each other."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from plusx import ops


def _random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    seed = sum(shape)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()


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
