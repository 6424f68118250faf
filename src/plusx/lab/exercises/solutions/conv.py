"""作业 卷积层 · Exercise: convolution by hand.

Fill the holes and run this file, or `plusx lab exercise conv`: it says what is right and what is not.
填好每个空，然后运行本文件（或 `plusx lab exercise conv`），它会告诉你哪里对、哪里不对。

x is (N, C_in, H, W), w is (C_out, C_in, K, K), b is (C_out,); stride s, padding P (zeros) on all four sides.
All are float64: make your own tensors with dtype=x.dtype. 输入都是 float64：新建张量时请写 dtype=x.dtype。
"""

import torch
from torch import Tensor


def output_size(H: int, K: int, s: int, P: int) -> int:
    """H_out = ⌊(H + 2P − K) / s⌋ + 1. 向下取整。"""
    return (H + 2 * P - K) // s + 1


def conv2d(x: Tensor, w: Tensor, b: Tensor, s: int, P: int) -> Tensor:
    """O[y, x, c] = Σ_i Σ_j Σ_d W[i, j, d, c] · I[y·s + i, x·s + j, d] + b[c]. 卷积核不翻转。"""
    N, C_in, H, W = x.shape
    C_out, _, K, _ = w.shape
    padded = torch.zeros(N, C_in, H + 2 * P, W + 2 * P, dtype=x.dtype)
    padded[:, :, P : P + H, P : P + W] = x
    y = torch.empty(N, C_out, output_size(H, K, s, P), output_size(W, K, s, P), dtype=x.dtype)
    for p in range(y.shape[2]):
        for q in range(y.shape[3]):
            patch = padded[:, None, :, p * s : p * s + K, q * s : q * s + K]
            y[:, :, p, q] = (patch * w).sum((2, 3, 4)) + b
    return y


def conv2d_backward(grad: Tensor, x: Tensor, w: Tensor, s: int, P: int) -> tuple[Tensor, Tensor, Tensor]:
    """(∂L/∂x, ∂L/∂w, ∂L/∂b) from grad = ∂L/∂y.

    Every product W[i, j, d, c] · I[y·s + i, x·s + j, d] hands grad · W to the pixel and grad · I to the weight.
    每个乘积把 grad·W 传给像素，把 grad·I 传给权重。
    """
    N, C_in, H, W = x.shape
    K = w.shape[2]
    padded = torch.zeros(N, C_in, H + 2 * P, W + 2 * P, dtype=x.dtype)
    padded[:, :, P : P + H, P : P + W] = x
    dpadded, dw = torch.zeros_like(padded), torch.zeros_like(w)
    for p in range(grad.shape[2]):
        for q in range(grad.shape[3]):
            g = grad[:, :, p, q]
            rows, columns = slice(p * s, p * s + K), slice(q * s, q * s + K)
            dpadded[:, :, rows, columns] += torch.einsum("nc,cdij->ndij", g, w)
            dw += torch.einsum("nc,ndij->cdij", g, padded[:, :, rows, columns])
    return dpadded[:, :, P : P + H, P : P + W], dw, grad.sum((0, 2, 3))


if __name__ == "__main__":
    from plusx.lab.exercises import main

    main("conv", __file__)
