"""The loop that sends the products of an input's gradient where they belong, for `columns.col2im`."""

import numpy as np

from plusx.ops.bfloat16 import narrow, wide
from plusx.ops.compiling import compiled
from plusx.ops.parts import in_parts


@compiled
def _add_up(part, products, C, kernel_size, size, out, stride, offset, d_h, nought, dx):
    """Add products (N, H_out·W_out·K_h·K_w·C) up in dx (N, H·W·C), each picture in float32 at least.

    Taps that lie side by side belong to pixels that do: a row of the kernel is one run of K_w·C numbers.
    """
    _, begin, end = part
    (K_h, K_w), (H, W), (H_out, W_out) = kernel_size, size, out
    total = np.full(H * W * C, nought)
    for n in range(begin, end):
        total[:] = 0
        for p in range(H_out):
            for i in range(K_h):
                row = p * stride[0] + i * d_h - offset[0]
                if row < 0 or row >= H:
                    continue
                for q in range(W_out):
                    left = q * stride[1] - offset[1]
                    first, last = max(0, -left), min(K_w, W - left)
                    if last <= first:
                        continue
                    run = (((p * W_out + q) * K_h + i) * K_w + first) * C
                    terms = products[n, run : run + (last - first) * C]
                    at = (row * W + left + first) * C
                    pixels = total[at : at + (last - first) * C]
                    for k in range(len(pixels)):
                        pixels[k] += wide(terms[k])
        for k in range(len(total)):
            dx[n, k] = narrow(total[k], dx[n, k])


@compiled
def add_up(count, *arguments):
    """Fill dx."""
    in_parts(_add_up, count, arguments)
