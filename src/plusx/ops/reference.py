"""The lesson's sums, index by index."""

from typing import Any

from torch import Tensor


def on_tensors(function: Any, *args: Any) -> Tensor:
    raise NotImplementedError


relu = linear = cross_entropy = batched_conv2d = batched_max_pool2d = batched_avg_pool2d = batched_batch_norm = None
