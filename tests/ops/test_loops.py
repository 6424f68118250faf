"""Tensors as arrays for compiled loops, and who gets them."""

import pytest
import torch

from plusx.ops import loops


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 1, 4, 5), (2, 3, 1, 1), (1, 3, 4, 1), (0, 3, 4, 5)])
def test_pictures_as_an_array_are_the_tensors_memory(shape, layout) -> None:
    x = torch.zeros(shape).contiguous(memory_format=layout)
    array = loops.as_pictures(x, layout)
    array[:] = 1
    assert (x == 1).all()


def test_loops_suit_plain_tensors_on_the_processor_only() -> None:
    assert loops.suits(torch.zeros(2), torch.nn.Parameter(torch.zeros(2)))
    assert not loops.suits(torch.zeros(2, dtype=torch.float16))
    assert not loops.suits(torch.zeros(2, device="meta"))
    with torch._subclasses.FakeTensorMode():
        assert not loops.suits(torch.zeros(2))
