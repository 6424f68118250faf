"""How large the output is (lesson: 尺寸关系, 填充类型).

    H_out = ⌊(H_in + 2P − K) / S⌋ + 1

With dilation D a kernel of K taps spans D·(K − 1) + 1 pixels, and that span takes the place of K.
"""

from collections.abc import Iterable
from numbers import Integral
from typing import Any, overload

from torch import SymInt, Tensor

Pair = tuple[int, int]
IntOrPair = int | Pair
Padding = IntOrPair | str
"""A number, a pair, "valid" or "same"."""
Edges = tuple[Pair, Pair]
"""Zeros added: ((top, bottom), (left, right))."""


def pair(value: IntOrPair, name: str, minimum: int = 1) -> Pair:
    """Return (vertical, horizontal) from one number for both or from two.

    Raises:
        ValueError: if there are not one or two whole numbers or one is below the minimum.

    >>> pair(3, "kernel_size"), pair((3, 5), "kernel_size")
    ((3, 3), (3, 5))
    """
    if isinstance(value, int) and value >= minimum:
        return value, value  # mostly; a pooling comes here seven times
    numbers = tuple(value) if isinstance(value, (tuple, Iterable)) else (value, value)
    if len(numbers) == 1:
        numbers = numbers * 2
    if len(numbers) != 2 or not (_is_whole(numbers[0]) and _is_whole(numbers[1])) or min(numbers) < minimum:
        raise ValueError(f"{name} must be one or two whole numbers of at least {minimum}; got {value}")
    return _plain(numbers[0]), _plain(numbers[1])


def _is_whole(number: Any) -> bool:
    """In a program that is traced, sizes may be symbols, or tensors of one number."""
    if isinstance(number, (int, SymInt, Integral)):
        return True
    return isinstance(number, Tensor) and not number.is_floating_point()


def _plain(number: Any) -> Any:
    """NumPy's number as Python's; a size that a traced program leaves open stays open."""
    return number if isinstance(number, (int, SymInt, Tensor)) else int(number)


def span(kernel_size: int, dilation: int) -> int:
    """Return how many pixels a kernel covers from its first tap to its last.

    >>> span(3, 1), span(3, 2)
    (3, 5)
    """
    return dilation * (kernel_size - 1) + 1


def edges(size: Pair, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Edges:
    """Resolve a padding to the rows and columns of zeros on the four sides.

    "valid" adds none. "same" makes the output ⌈H / S⌉ × ⌈W / S⌉, with the odd zero at the bottom and right.

    Raises:
        ValueError: if the padding is another word or a negative number.

    >>> edges((4, 4), (2, 3), (1, 1), "same", (1, 1))
    ((0, 1), (1, 1))
    """
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        return _same(size[0], kernel_size[0], stride[0], dilation[0]), _same(
            size[1], kernel_size[1], stride[1], dilation[1]
        )
    if isinstance(padding, str):
        raise ValueError(f"padding must be a number, a pair, 'valid' or 'same'; got {padding!r}")
    rows, columns = pair(padding, "padding", minimum=0)
    return (rows, rows), (columns, columns)


def _same(size: int, kernel_size: int, stride: int, dilation: int) -> Pair:
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + span(kernel_size, dilation) - size, 0)
    return total // 2, total - total // 2


@overload
def output_size(
    size: int,
    kernel_size: IntOrPair,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> int: ...


@overload
def output_size(
    size: Pair,
    kernel_size: IntOrPair,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> Pair: ...


def output_size(
    size: IntOrPair,
    kernel_size: IntOrPair,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> IntOrPair:
    """Return `⌊(H + 2P − K) / S⌋ + 1` (lesson: 输出尺寸计算公式), for one side or for (H, W).

    Args:
        size: H, or (H, W), in pixels.
        kernel_size: K, one number or (vertical, horizontal).
        stride: S, the same.
        padding: P, the same, or "valid" (none) or "same" (⌈H / S⌉ comes out).
        dilation: the distance between the kernel's taps.
        ceil_mode: round up instead of down, but drop a window that would begin in the padding at the end.

    Raises:
        ValueError: if an argument is out of range or no window fits.

    >>> output_size(224, kernel_size=7, stride=2, padding=3)
    112
    >>> output_size((32, 31), kernel_size=3, stride=2, padding="same")
    (16, 16)
    """
    both = pair(size, "size")
    K, S, D = pair(kernel_size, "kernel_size"), pair(stride, "stride"), pair(dilation, "dilation")
    (top, bottom), (left, right) = edges(both, K, S, padding, D)
    rows = _side(both[0], K[0], S[0], (top, bottom), D[0], ceil_mode)
    columns = _side(both[1], K[1], S[1], (left, right), D[1], ceil_mode)
    return rows if _is_whole(size) else (rows, columns)


def _side(size: int, kernel_size: int, stride: int, ends: Pair, dilation: int, ceil_mode: bool) -> int:
    room = size + sum(ends) - span(kernel_size, dilation)
    outputs = (-(-room // stride) if ceil_mode else room // stride) + 1
    if outputs < 1:
        raise ValueError(
            f"kernel_size {kernel_size} with dilation {dilation} spans {span(kernel_size, dilation)} pixels, "
            f"more than size {size} with padding {ends[0]} + {ends[1]}"
        )
    if ceil_mode and (outputs - 1) * stride >= size + ends[0]:
        outputs -= 1
    return outputs
