"""作业二 池化实现 · Homework 2: pooling by hand.

Fill the holes and run this file, or `plusx lab exercise pooling`: it says what is right and what is not.
填好每个空，然后运行本文件（或 `plusx lab exercise pooling`），它会告诉你哪里对、哪里不对。

x is (N, C, H, W). The window is K×K, the stride s, the padding P on all four sides.
x is float64: make your own tensors with dtype=x.dtype. x 是 float64：新建张量时请写 dtype=x.dtype。
Plain loops and slices of torch are all you need; `torch.nn.functional` would spoil the fun.
"""

import torch
from torch import Tensor


def max_pool2d(x: Tensor, K: int, s: int, P: int) -> Tensor:
    """O[y, x, c] = max over 0 ≤ i, j < K of I[y·s + i, x·s + j, c]. 填充的位置永远不会成为最大值。

    Returns (N, C, H_out, W_out) with H_out = ⌊(H + 2P − K) / s⌋ + 1.
    """
    N, C, H, W = x.shape
    H_out, W_out = (H + 2 * P - K) // s + 1, (W + 2 * P - K) // s + 1
    padded = torch.full((N, C, H + 2 * P, W + 2 * P), -torch.inf, dtype=x.dtype)
    padded[:, :, P : P + H, P : P + W] = x
    y = torch.empty(N, C, H_out, W_out, dtype=x.dtype)
    for p in range(H_out):
        for q in range(W_out):
            y[:, :, p, q] = padded[:, :, p * s : p * s + K, q * s : q * s + K].amax((2, 3))
    return y


def max_pool2d_backward(grad: Tensor, x: Tensor, K: int, s: int, P: int) -> Tensor:
    """∂L/∂x from grad = ∂L/∂y: each window gives its gradient to its first largest pixel, row by row.

    每个窗口把梯度给它的第一个最大值（按行优先顺序）；窗口重叠时梯度相加。
    """
    N, C, H, W = x.shape
    dx = torch.zeros_like(x)
    for n in range(N):
        for c in range(C):
            for p in range(grad.shape[2]):
                for q in range(grad.shape[3]):
                    rows = range(max(0, p * s - P), min(H, p * s - P + K))
                    columns = range(max(0, q * s - P), min(W, q * s - P + K))
                    places = [(i, j) for i in rows for j in columns]
                    i, j = max(places, key=lambda place: float(x[n, c, place[0], place[1]]))
                    dx[n, c, i, j] += grad[n, c, p, q]
    return dx


def avg_pool2d(x: Tensor, K: int, s: int, P: int, count_include_pad: bool = True) -> Tensor:
    """O[y, x, c] = 1/K² · Σ_i Σ_j I[y·s + i, x·s + j, c]. 填充为 0。

    With count_include_pad=False divide by the number of pixels of the picture in the window instead of K².
    """
    N, C, H, W = x.shape
    H_out, W_out = (H + 2 * P - K) // s + 1, (W + 2 * P - K) // s + 1
    y = torch.empty(N, C, H_out, W_out, dtype=x.dtype)
    for p in range(H_out):
        for q in range(W_out):
            top, left = p * s - P, q * s - P
            window = x[:, :, max(0, top) : min(H, top + K), max(0, left) : min(W, left + K)]
            count = K * K if count_include_pad else window.shape[2] * window.shape[3]
            y[:, :, p, q] = window.sum((2, 3)) / count
    return y


def avg_pool2d_backward(
    grad: Tensor, x: Tensor, K: int, s: int, P: int, count_include_pad: bool = True
) -> Tensor:
    """∂L/∂x: every pixel of a window receives the same share of its gradient. 重叠时相加。"""
    _, _, H, W = x.shape
    dx = torch.zeros_like(x)
    for p in range(grad.shape[2]):
        for q in range(grad.shape[3]):
            top, left = p * s - P, q * s - P
            window = dx[:, :, max(0, top) : min(H, top + K), max(0, left) : min(W, left + K)]
            count = K * K if count_include_pad else window.shape[2] * window.shape[3]
            window += grad[:, :, p, q, None, None] / count
    return dx


if __name__ == "__main__":
    from plusx.lab.exercises import main

    main("pooling", __file__)
