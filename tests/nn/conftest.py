"""What the tests of the layers share."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def is_handmade(nodes: Callable[[Tensor], Iterator[object]]) -> Callable[[Tensor], bool]:
    """Whether a gradient written in Python took part: none of torch's own kernels has one."""

    def check(y: Tensor) -> bool:
        return any(isinstance(node, torch.autograd.function.BackwardCFunction) for node in nodes(y))

    return check
