"""Pooling (lesson: 池化公式): a maximum or a mean over windows, in three engines.

max:      O[y, x, c] = max_{0 ≤ i,j < K} I[y·s + i, x·s + j, c]
average:  O[y, x, c] = 1/K² · Σ_i Σ_j I[y·s + i, x·s + j, c]
"""

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from plusx.ops import gpu, loops, reference
from plusx.ops.engines import resolve
from plusx.ops.lesson_layout import each_picture
from plusx.ops.loops import layout_of
from plusx.ops.pooling import in_loops
from plusx.ops.pooling.average import AveragePool
from plusx.ops.pooling.global_pool import GlobalAveragePool, GlobalMaxPool
from plusx.ops.pooling.maximum import MaxPool
from plusx.ops.pooling.reach import UNROLLED
from plusx.ops.pooling.windows import PoolGeometry, count_pixels, lowest, resolve_windows
from plusx.ops.precision import accumulation_dtype
from plusx.ops.shape import Edges, IntOrPair, Padding, Pair

LARGE = 2**25
"""Numbers above which a pooling on a GPU takes longer than its launch, so that ours is the faster one."""


def max_pool2d(
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
    *,
    engine: str | None = None,
) -> Tensor:
    """Return the largest value in each window (lesson: 最大池化).

    Args:
        x: (N, C, H, W), or one picture (C, H, W), of real or whole numbers.
        kernel_size: K, one number or (vertical, horizontal).
        stride: s; K if left out.
        padding: on both sides, at most half of the window, or "valid" or "same"; counts as −∞.
        dilation: the distance between the window's taps.
        ceil_mode: round the output size up, so that no pixel is left out at the end.
        engine: see `plusx.ops.engine`.

    Returns:
        (N, C, H_out, W_out); see `plusx.ops.output_size`.

    Raises:
        ValueError: if an argument is out of range or no window fits.

    >>> lesson = torch.tensor([[1, 4, 2, 8], [3, 9, 5, 7], [2, 6, 4, 1], [5, 3, 7, 2]]).float()
    >>> max_pool2d(lesson[None], 2).tolist()
    [[[9.0, 8.0], [6.0, 7.0]]]
    """
    if x.dim() == 3:
        return max_pool2d(x[None], kernel_size, stride, padding, dilation, ceil_mode, engine=engine)[0]
    geometry, sides = resolve_windows(x, kernel_size, stride, padding, dilation, ceil_mode)
    K, s, start, d, out = geometry
    # On a GPU, windows of contiguous pictures that overlap are PyTorch's strength.
    scattered = x.device.type == "cuda" and s != K and layout_of(x) != torch.channels_last
    ours = _pays(x, geometry) and (not scattered or gpu.kernels_preferred())
    match resolve(engine, "handmade" if ours else "native"):
        case "reference":
            return each_picture(
                lambda picture: reference.max_pool2d(picture, K, s, padding, d, ceil_mode), x, x.shape[1], out
            )
        case "handmade":
            return MaxPool.apply(x, geometry)
        case "native":
            (top, bottom), (left, right) = sides
            if _strange_to_torch(x, geometry, sides):
                x, start = F.pad(x, (left, right, top, bottom), value=lowest(x.dtype)), (0, 0)
            return F.max_pool2d(x, K, s, start, d, ceil_mode)[:, :, : out[0], : out[1]]


def avg_pool2d(
    x: Tensor,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    engine: str | None = None,
) -> Tensor:
    """Return the mean of each window (lesson: 平均池化).

    Args:
        x: (N, C, H, W), or one picture (C, H, W), of real numbers.
        kernel_size: K, one number or (vertical, horizontal).
        stride: s; K if left out.
        padding: zeros on both sides, at most half of the window, or "valid" or "same".
        ceil_mode: round the output size up, so that no pixel is left out at the end.
        count_include_pad: divide by the padding too, not only by the pixels of the picture.
        engine: see `plusx.ops.engine`.

    Returns:
        (N, C, H_out, W_out); see `plusx.ops.output_size`.

    Raises:
        ValueError: if an argument is out of range, no window fits, or x holds whole numbers, as their means
            would not.

    >>> avg_pool2d(torch.tensor([[[1.0, 2.0], [3.0, 6.0]]]), 2).tolist()
    [[[3.0]]]
    """
    if x.dim() == 3:
        return avg_pool2d(x[None], kernel_size, stride, padding, ceil_mode, count_include_pad, engine=engine)[
            0
        ]
    _check_real(x)
    geometry, sides = resolve_windows(x, kernel_size, stride, padding, 1, ceil_mode)
    K, s, start, _, out = geometry
    size = (x.shape[2], x.shape[3])
    # PyTorch's gradient for padded channels-last pictures was wrong on GPUs before July 2026 (issue 188344).
    astray = x.device.type == "cuda" and start != (0, 0)
    match resolve(engine, "handmade" if astray or _pays(x, geometry) else "native"):
        case "reference":
            return each_picture(
                lambda picture: reference.avg_pool2d(picture, K, s, padding, ceil_mode, count_include_pad),
                x,
                x.shape[1],
                out,
            )
        case "handmade":
            count = _counted if loops.suits(x) or gpu.suits(x) else _count
            n = count(size, geometry, sides, count_include_pad, accumulation_dtype(x), x.device)
            return AveragePool.apply(x, n, size, geometry)
        case "native":
            (top, bottom), (left, right) = sides
            if start == (bottom, right):
                return F.avg_pool2d(x, K, s, start, ceil_mode, count_include_pad)
            border = (left, right, top, bottom)
            y = F.avg_pool2d(F.pad(x, border), K, s, 0, ceil_mode)
            if count_include_pad:
                return y
            return y / F.avg_pool2d(F.pad(x.new_ones(1, 1, *size), border), K, s, 0, ceil_mode)


def global_avg_pool2d(x: Tensor, *, engine: str | None = None) -> Tensor:
    """Return the mean of each feature map (lesson: 全局池化), (N, C, H, W) → (N, C, 1, 1).

    One picture (C, H, W) gives (C, 1, 1).

    >>> global_avg_pool2d(torch.arange(4.0).reshape(1, 1, 2, 2)).tolist()
    [[[[1.5]]]]
    """
    if x.dim() == 3:
        return global_avg_pool2d(x[None], engine=engine)[0]
    _check_map(x)
    _check_real(x)
    match resolve(engine, "handmade"):
        case "handmade":
            return GlobalAveragePool.apply(x)
        case other:
            return avg_pool2d(x, (x.shape[2], x.shape[3]), engine=other)


def global_max_pool2d(x: Tensor, *, engine: str | None = None) -> Tensor:
    """Return the largest value of each feature map (lesson: 全局池化), (N, C, H, W) → (N, C, 1, 1).

    One picture (C, H, W) gives (C, 1, 1).

    >>> global_max_pool2d(torch.arange(4.0).reshape(1, 1, 2, 2)).tolist()
    [[[[3.0]]]]
    """
    if x.dim() == 3:
        return global_max_pool2d(x[None], engine=engine)[0]
    _check_map(x)
    match resolve(engine, "handmade" if loops.suits(x) else "native"):
        case "handmade":
            return GlobalMaxPool.apply(x)
        case other:
            return max_pool2d(x, (x.shape[2], x.shape[3]), engine=other)


def _pays(x: Tensor, geometry: PoolGeometry) -> bool:
    """Whether there are loops or kernels of ours for this, and they are the faster ones."""
    K = geometry.K
    if K[0] * K[1] > UNROLLED:
        return False  # the compiler unrolls smaller windows: the running maximum stays in registers
    return in_loops.suits(x) or (gpu.suits(x) and (gpu.kernels_preferred() or x.numel() >= LARGE))


def _strange_to_torch(x: Tensor, geometry: PoolGeometry, sides: Edges) -> bool:
    """Whether PyTorch's maximum has to find the padding in the picture.

    Where it differs on two sides or is more than half of K, though not of the window, since it is refused.
    And where a dilated window can miss the picture: the kernel then writes its gradient outside of it.
    """
    K, d = geometry.K, geometry.dilation
    return any(
        begin != end or begin > k // 2 or step > length
        for k, (begin, end), step, length in zip(K, sides, d, x.shape[2:], strict=True)
    )


def _count(
    size: Pair,
    geometry: PoolGeometry,
    sides: Edges,
    include_pad: bool,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """`count_pixels`, where it is needed."""
    return count_pixels(size, geometry, sides, include_pad).to(device, dtype)


# For many calls with one shape, each as many numbers as the output has; not where torch.compile traces, which
# can't see into it. What is counted first in inference may be differentiated later.
_counted = functools.lru_cache(maxsize=16)(torch.inference_mode(False)(_count))


def _check_map(x: Tensor) -> None:
    if x.dim() != 4 or 0 in x.shape[2:]:
        raise ValueError(f"x must be (N, C, H, W) or (C, H, W) with at least one pixel; got {tuple(x.shape)}")


def _check_real(x: Tensor) -> None:
    if not x.is_floating_point():
        raise ValueError(f"x must hold real numbers; got {x.dtype}, use x.float()")
