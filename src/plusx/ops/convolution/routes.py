"""The three sums of a convolution, each by the fastest route: im2col, col2im or Winograd's transform.

All are registered with torch as operators of their own: torch.compile takes each as one step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from plusx.ops.convolution import columns, winograd
from plusx.ops.loops import layout_of
from plusx.ops.shape import span


@torch.library.custom_op("plusx::convolve", mutates_args=())
def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """Convolve x, placed on zeros at `offset`, into an output of `size`."""
    if winograd.suits(x, weight.shape[0], weight.shape[2:], size, stride, offset, dilation, groups):
        y = winograd.convolve(x, weight, bias, size, offset)
    else:
        y = columns.convolve(x, weight, bias, size, stride, offset, dilation, groups, (1, 1))
    return _laid_out_like(x, y)


@convolve.register_fake
def _(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    return _laid_out_like(x, x.new_empty(x.shape[0], *size, weight.shape[0]).permute(0, 3, 1, 2))


@torch.library.custom_op("plusx::input_gradient", mutates_args=())
def input_gradient(
    grad: Tensor,
    weight: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """Return the gradient with respect to an input of `size`: each pixel's sum over what it took part in."""
    turned = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1).flip(2, 3)
    turned_offset = [span(k, d) - 1 - o for k, d, o in zip(weight.shape[2:], dilation, offset, strict=True)]
    one = (1, 1)
    if {*stride} == {1} and winograd.suits(
        grad, turned.shape[0], weight.shape[2:], size, one, turned_offset, dilation, groups
    ):
        dx = winograd.convolve(grad, turned, None, size, turned_offset)
    elif columns.col2im_pays(grad, weight, stride, dilation, groups):
        dx = columns.col2im(grad, weight, size, stride, offset, dilation)
    else:
        dx = columns.convolve(grad, turned, None, size, one, turned_offset, dilation, groups, stride)
    return _laid_out_like(grad, dx)


@input_gradient.register_fake
def _(
    grad: Tensor,
    weight: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    channels = weight.shape[1] * groups
    return _laid_out_like(grad, grad.new_empty(grad.shape[0], *size, channels).permute(0, 3, 1, 2))


@torch.library.custom_op("plusx::weight_gradient", mutates_args=())
def weight_gradient(
    x: Tensor,
    grad: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """Sum input times gradient over all positions, for each tap."""
    if winograd.suits(x, grad.shape[1], kernel_size, grad.shape[2:], stride, offset, dilation, groups):
        return winograd.weight_gradient(x, grad, offset)
    return columns.weight_gradient(x, grad, kernel_size, stride, offset, dilation, groups)


@weight_gradient.register_fake
def _(
    x: Tensor,
    grad: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    return x.new_empty(grad.shape[1], x.shape[1] // groups, *kernel_size)


def _laid_out_like(x: Tensor, y: Tensor) -> Tensor:
    """Return the channels-last y as it is if x is channels-last, else contiguous."""
    return y if layout_of(x) == torch.channels_last else y.contiguous()
