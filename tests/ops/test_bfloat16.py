"""bfloat16 in compiled loops."""

import numpy as np
import torch
from numba import njit

from plusx.ops.bfloat16 import narrow, wide
from plusx.ops.loops import as_array


@njit
def _round_trip(x, y):
    for k in range(len(x)):
        y[k] = narrow(wide(x[k]), y[k])


def test_every_bfloat16_widens_and_every_float32_rounds_as_in_torch() -> None:
    every = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    out = np.empty(2**16, np.float32)
    _round_trip(as_array(every), out)
    np.testing.assert_array_equal(out, every.float().numpy())

    # Every upper half with lower halves around the middle, where rounding turns.
    halves = torch.arange(2**16, dtype=torch.int64)[:, None] * 2**16 + torch.tensor(
        [0, 0x7FFF, 0x8000, 0x8001]
    )
    numbers = halves.flatten().to(torch.uint32).view(torch.float32)
    rounded = torch.empty(numbers.shape, dtype=torch.bfloat16)
    _round_trip(numbers.numpy(), as_array(rounded))
    torch.testing.assert_close(rounded, numbers.bfloat16(), rtol=0, atol=0, equal_nan=True)
