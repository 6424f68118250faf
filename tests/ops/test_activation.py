"""The rectifier and hard swish: three engines and finite differences against each other."""

import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from plusx import ops


def _random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    seed = sum(shape)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()


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


def test_hardswish_of_large_numbers_in_float16() -> None:
    x = torch.tensor([20_000.0, -20_000.0], dtype=torch.float16)
    for name in ("reference", "handmade", "native"):
        assert ops.hardswish(x, engine=name).tolist() == [20_000.0, 0.0]
