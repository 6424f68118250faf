"""The fully connected layer: three engines and finite differences against each other."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from plusx import ops


def _random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    seed = sum(shape)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()


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
