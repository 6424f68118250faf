"""The matrix of columns (im2col) and the two products in which a convolution uses it.

    O[y, x, c] = Σ_i Σ_j Σ_d W[i, j, d, c] · I[y·s + i, x·s + j, d]

Row (y, x) of the matrix holds the window under that output pixel, I[y·s + i, x·s + j, d] for all i, j, d;
the kernel, flattened in the same order, has one column for each output channel. So O is the product of the
two, and the kernel's gradient is the transposed matrix times the gradient of O. The matrix has K² times as
many numbers as the picture: it is only ever made for as many pictures as fit in the cache, or for one.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from plusx.ops import loops
from plusx.ops.convolution.column_loops import add_up
from plusx.ops.parts import parts
from plusx.ops.precision import accumulation_dtype
from plusx.ops.shape import span

CHUNK_BYTES = 2**21
"""The matrix of columns of one chunk of pictures; with the product it should stay in the cache of a core."""


def _place(x: Tensor, offset: Sequence[int], size: Sequence[int], step: Sequence[int]) -> Tensor:
    """Put x (N, H, W, C) on zeros of `size`, from `offset` on, pixels `step` apart; cut what is outside."""
    if (*offset, *step) == (0, 0, 1, 1) and tuple(size) == x.shape[1:3] and x.is_contiguous():
        return x
    canvas = x.new_zeros(x.shape[0], *size, x.shape[3])
    there, here = [], []
    for length, o, s, n in zip(size, offset, step, x.shape[1:3], strict=True):
        first = max(0, -(o // s))
        last = max(first, min(n, -((o - length) // s)))
        here.append(slice(first, last))
        there.append(slice(o + first * s, o + last * s, s) if last > first else slice(0, 0))
    canvas[:, there[0], there[1]] = x[:, here[0], here[1]]
    return canvas


def columns_of(
    x: Tensor,
    kernel_size: Sequence[int],
    size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    step: Sequence[int] = (1, 1),
) -> Iterator[tuple[slice, Tensor]]:
    """Yield a few pictures at a time: which, and their columns (groups, pictures·H·W, K·K·C_in/groups)."""
    N, C = x.shape[:2]
    (K_h, K_w), (H, W), (s_h, s_w), (d_h, d_w) = kernel_size, size, stride, dilation
    canvas_size = ((H - 1) * s_h + span(K_h, d_h), (W - 1) * s_w + span(K_w, d_w))
    pictures = max(1, CHUNK_BYTES // max(1, H * W * K_h * K_w * C * x.element_size()))
    for first in range(0, N, pictures):
        chunk = slice(first, min(first + pictures, N))
        canvas = _place(x[chunk].permute(0, 2, 3, 1), offset, canvas_size, step)
        picture, row, pixel, _ = canvas.stride()
        windows = canvas.as_strided(
            (groups, canvas.shape[0], H, W, K_h, K_w, C // groups),
            (C // groups, picture, s_h * row, s_w * pixel, d_h * row, d_w * pixel, 1),
            canvas.storage_offset(),
        )
        yield chunk, windows.reshape(groups, canvas.shape[0] * H * W, K_h * K_w * (C // groups))


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    step: Sequence[int],
) -> Tensor:
    """Columns times kernel: (N, C_out, *size), channels-last."""
    C_out, H, W = weight.shape[0], *size
    # (C_out, C_in/groups, K, K) → (groups, K·K·C_in/groups, C_out/groups), in the order of the columns
    matrix = weight.unflatten(0, (groups, -1)).permute(0, 3, 4, 2, 1).flatten(1, 3)
    b = None if bias is None else bias.reshape(groups, 1, -1)
    y = x.new_empty(x.shape[0], H, W, C_out)
    for chunk, columns in columns_of(x, weight.shape[2:], size, stride, offset, dilation, groups, step):
        product = columns @ matrix if b is None else torch.baddbmm(b, columns, matrix)
        y[chunk] = product.transpose(0, 1).reshape(-1, H, W, C_out)
    return y.permute(0, 3, 1, 2)


def col2im_pays(
    grad: Tensor, weight: Tensor, stride: Sequence[int], dilation: Sequence[int], groups: int
) -> bool:
    """Whether `col2im` is less work for the input's gradient: it makes fewer numbers than columns have."""
    C_out, C_in = weight.shape[:2]
    return loops.suits(grad, weight) and groups == dilation[1] == 1 and C_in < C_out * stride[0] * stride[1]


def col2im(
    grad: Tensor,
    weight: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """The input's gradient (N, C_in, *size), channels-last: im2col's way, backwards.

    Each pixel of the gradient times the kernel gives what it owes to the K·K pixels under its window, for
    all of C_in; these products are added up where they belong. At stride s no zeros are multiplied.
    """
    (C_out, C_in, *kernel_size), (N, _, *out) = weight.shape, grad.shape
    matrix = weight.permute(0, 2, 3, 1).flatten(1)  # (C_out, K·K·C_in)
    dx = grad.new_empty(N, *size, C_in)
    pixels, nought = loops.as_array(dx.flatten(1)), loops.widened(grad, 0.0)
    shape = tuple(kernel_size), tuple(size), tuple(out), tuple(stride), tuple(offset), dilation[0]
    together = max(1, CHUNK_BYTES // (out[0] * out[1] * matrix.shape[1] * grad.element_size()))
    for first in range(0, N, together):
        chunk = slice(first, min(first + together, N))
        rows = grad[chunk].permute(0, 2, 3, 1).reshape(-1, C_out)
        products = loops.as_array((rows @ matrix).view(chunk.stop - first, -1))
        add_up(parts(products), products, C_in, *shape, nought, pixels[chunk])
    return dx.permute(0, 3, 1, 2)


def weight_gradient(
    x: Tensor,
    grad: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    offset: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """Columns transposed times gradient, summed over the chunks in float32 at least."""
    C_out, C_in = grad.shape[1], x.shape[1] // groups
    wide = accumulation_dtype(x)
    total = x.new_zeros(groups, kernel_size[0] * kernel_size[1] * C_in, C_out // groups, dtype=wide)
    for chunk, columns in columns_of(x, kernel_size, grad.shape[2:], stride, offset, dilation, groups):
        rows = grad[chunk].permute(0, 2, 3, 1).reshape(-1, groups, C_out // groups).transpose(0, 1)
        # Group by group: torch's product of many matrices takes twice as long where the first is transposed.
        for g in range(groups):
            total[g] += columns[g].T @ rows[g]
    return (
        total.reshape(groups, *kernel_size, C_in, C_out // groups)
        .permute(0, 4, 3, 1, 2)
        .flatten(0, 1)
        .to(x.dtype)
        .contiguous()
    )
