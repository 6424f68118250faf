"""What the tests of the layers share."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def nodes(y: Tensor) -> Iterator[object]:
    """Every step of the autograd graph that made y."""
    seen, ahead = set(), [y.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            ahead += [following for following, _ in node.next_functions]


@pytest.fixture
def is_handmade():
    """Whether a gradient written in Python took part: none of torch's own kernels has one."""

    def check(y: Tensor) -> bool:
        return any(isinstance(node, torch.autograd.function.BackwardCFunction) for node in nodes(y))

    return check
