"""The dtypes under autocast, whichever engine computes."""

import torch
from torch import Tensor

from plusx import ops


def _random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    seed = sum(shape)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()


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
