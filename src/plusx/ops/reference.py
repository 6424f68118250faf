"""The lesson's sums, index by index, in NumPy float64: slow, obviously right, the oracle of the others.

The layout is the lesson's (张量维度): a picture is (H, W, C_in), a kernel (K, K, C_in, C_out), an output
(H_out, W_out, C_out). Only batch normalisation, the linear layer and the loss know a batch.
"""

from math import exp, log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plusx.ops.shape import IntOrPair, Padding, edges, output_size, pair, span

Array = NDArray[np.float64]


def conv2d(
    I: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None = None,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Array:
    """`O[y,x,c] = Σ_i Σ_j Σ_d W[i,j,d,c] · I[y·s + i, x·s + j, d] + b[c]` (lesson: 卷积公式).

    Padding puts zeros around I; dilation D reads `y·s + i·D`; with groups, output channel c sees only the
    C_in / groups input channels of its group.

    Args:
        I: (H, W, C_in).
        W: (K, K, C_in / groups, C_out).
        b: (C_out,) or None for zeros.
        stride: s, one number or (vertical, horizontal).
        padding: P, the same, or "valid" or "same".
        dilation: D, the same.
        groups: into how many the channels are split.

    Returns:
        (H_out, W_out, C_out), see `plusx.ops.output_size`.

    Raises:
        ValueError: if no window fits.

    >>> picture = np.arange(9.0).reshape(3, 3, 1)
    >>> conv2d(picture, np.ones((2, 2, 1, 1)), [0.5])[:, :, 0]
    array([[ 8.5, 12.5], [20.5, 24.5]])
    """
    I, W = np.asarray(I, dtype=np.float64), np.asarray(W, dtype=np.float64)
    K_h, K_w, C_in, C_out = W.shape
    b = np.zeros(C_out) if b is None else np.asarray(b, dtype=np.float64)
    (s_h, s_w), (D_h, D_w) = pair(stride, "stride"), pair(dilation, "dilation")
    size = (I.shape[0], I.shape[1])
    P = edges(size, (K_h, K_w), (s_h, s_w), padding, (D_h, D_w))
    O = np.empty((*output_size(size, (K_h, K_w), stride, padding, dilation), C_out))
    I = np.pad(I, (*P, (0, 0)))
    for y, x, c in np.ndindex(O.shape):
        first = c // (C_out // groups) * C_in
        O[y, x, c] = b[c] + sum(
            W[i, j, d, c] * I[y * s_h + i * D_h, x * s_w + j * D_w, first + d]
            for i, j, d in np.ndindex(K_h, K_w, C_in)
        )
    return O


def max_pool2d(
    I: ArrayLike,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> Array:
    """`O[y,x,c] = max_{0 ≤ i,j < K} I[y·s + i, x·s + j, c]` (lesson: 最大池化); padding does not take part.

    Args:
        I: (H, W, C).
        kernel_size: K, one number or (vertical, horizontal).
        stride: s; K if left out.
        padding: P, the same, or "valid" or "same".
        dilation: the distance between the window's taps.
        ceil_mode: round the output size up.

    Returns:
        (H_out, W_out, C).

    >>> lesson = np.array([[1, 4, 2, 8], [3, 9, 5, 7], [2, 6, 4, 1], [5, 3, 7, 2]])
    >>> max_pool2d(lesson[:, :, None], 2)[:, :, 0]
    array([[9., 8.], [6., 7.]])
    """
    I = np.asarray(I, dtype=np.float64)
    g = _Windows(I.shape[:2], kernel_size, stride, padding, dilation, ceil_mode)
    (K_h, K_w), (s_h, s_w), (D_h, D_w) = g.K, g.s, g.D
    I = np.pad(I, (*g.P, (0, 0)), constant_values=-np.inf)
    I = np.pad(I, (*g.beyond, (0, 0)), constant_values=-np.inf)
    O = np.empty((*g.out, I.shape[2]))
    for y, x, c in np.ndindex(O.shape):
        O[y, x, c] = np.max([I[y * s_h + i * D_h, x * s_w + j * D_w, c] for i, j in np.ndindex(K_h, K_w)])
    return O


def avg_pool2d(
    I: ArrayLike,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """`O[y,x,c] = 1/K² · Σ_i Σ_j I[y·s + i, x·s + j, c]` (lesson: 平均池化).

    K² counts the pixels and the padding's zeros, or with `count_include_pad=False` the pixels alone; what
    a window of `ceil_mode` covers beyond the padding never counts.

    Args:
        I: (H, W, C).
        kernel_size: K, one number or (vertical, horizontal).
        stride: s; K if left out.
        padding: P, the same, or "valid" or "same".
        ceil_mode: round the output size up.
        count_include_pad: divide by the padding too.

    Returns:
        (H_out, W_out, C).

    >>> avg_pool2d(np.array([[1.0, 2.0], [3.0, 6.0]])[:, :, None], 2).item()
    3.0
    """
    I = np.asarray(I, dtype=np.float64)
    g = _Windows(I.shape[:2], kernel_size, stride, padding, 1, ceil_mode)
    (K_h, K_w), (s_h, s_w) = g.K, g.s
    counts = np.pad(np.ones(I.shape[:2]), g.P, constant_values=count_include_pad)
    counts = np.pad(counts, g.beyond)
    I = np.pad(np.pad(I, (*g.P, (0, 0))), (*g.beyond, (0, 0)))
    O = np.empty((*g.out, I.shape[2]))
    for y, x, c in np.ndindex(O.shape):
        window = [(y * s_h + i, x * s_w + j) for i, j in np.ndindex(K_h, K_w)]
        O[y, x, c] = sum(I[row, column, c] for row, column in window) / sum(counts[p] for p in window)
    return O


class _Windows:
    """The lesson's letters for a pool, in pairs (vertical, horizontal).

    Attributes:
        K: kernel size.
        s: stride, K unless given.
        D: dilation.
        P: padding, ((top, bottom), (left, right)).
        beyond: what windows of `ceil_mode` cover beyond the padding, in the same form.
        out: the output's size.
    """

    def __init__(
        self,
        size: tuple[int, ...],
        kernel_size: IntOrPair,
        stride: IntOrPair | None,
        padding: Padding,
        dilation: IntOrPair,
        ceil_mode: bool,
    ) -> None:
        height, width = size
        self.K, self.D = pair(kernel_size, "kernel_size"), pair(dilation, "dilation")
        self.s = self.K if stride is None else pair(stride, "stride")
        self.P = edges((height, width), self.K, self.s, padding, self.D)
        self.out = output_size((height, width), self.K, self.s, padding, self.D, ceil_mode)
        self.beyond = tuple(
            (0, max(0, (out - 1) * s + span(k, d) - n - sum(p)))
            for out, s, k, d, n, p in zip(self.out, self.s, self.K, self.D, size, self.P, strict=True)
        )


def relu(x: ArrayLike) -> Array:
    """`max(x, 0)`, number by number.

    >>> relu([-1.0, 2.0])
    array([0., 2.])
    """
    x = np.asarray(x, dtype=np.float64)
    y = np.empty_like(x)
    for index in np.ndindex(x.shape):
        y[index] = 0.0 if x[index] < 0 else x[index]
    return y


def hardswish(x: ArrayLike) -> Array:
    """`x · min(max(x + 3, 0), 6) / 6`, number by number.

    >>> hardswish([-4.0, 1.5])
    array([-0.   ,  1.125])
    """
    x = np.asarray(x, dtype=np.float64)
    y = np.empty_like(x)
    for index in np.ndindex(x.shape):
        y[index] = x[index] * min(max(x[index] + 3, 0), 6) / 6
    return y


def linear(x: ArrayLike, W: ArrayLike, b: ArrayLike | None = None) -> Array:
    """`y[n, o] = Σ_i x[n, i] · W[o, i] + b[o]`; (N, in), (out, in), (out,) → (N, out).

    >>> linear([[1, 2]], [[3, 4]], [5])
    array([[16.]])
    """
    x, W = np.asarray(x, dtype=np.float64), np.asarray(W, dtype=np.float64)
    b = np.zeros(len(W)) if b is None else np.asarray(b, dtype=np.float64)
    y = np.empty((len(x), len(W)))
    for n, o in np.ndindex(y.shape):
        y[n, o] = b[o] + sum(x[n, i] * W[o, i] for i in range(x.shape[1]))
    return y


def batch_statistics(I: ArrayLike) -> tuple[Array, Array]:
    """Mean and variance (divided by the number of values) of each channel of a batch (N, H, W, C).

    >>> batch_statistics(np.array([1.0, 3.0]).reshape(2, 1, 1, 1))
    (array([2.]), array([1.]))
    """
    I = np.asarray(I, dtype=np.float64)
    channels = [[I[n, y, x, c] for n, y, x in np.ndindex(I.shape[:3])] for c in range(I.shape[3])]
    mean = [sum(values) / len(values) for values in channels]
    variance = [
        sum((v - m) ** 2 for v in values) / len(values) for values, m in zip(channels, mean, strict=True)
    ]
    return np.array(mean), np.array(variance)


def batch_norm(
    I: ArrayLike,
    mean: ArrayLike,
    variance: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> Array:
    """`O[n,y,x,c] = (I[n,y,x,c] − μ[c]) / √(σ²[c] + ε) · w[c] + b[c]` for a batch (N, H, W, C).

    >>> batch_norm(np.array([1.0, 3.0]).reshape(2, 1, 1, 1), [2], [1], eps=0).ravel()
    array([-1.,  1.])
    """
    I = np.asarray(I, dtype=np.float64)
    C = I.shape[3]
    mean, variance = np.asarray(mean, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    w = np.ones(C) if weight is None else np.asarray(weight, dtype=np.float64)
    b = np.zeros(C) if bias is None else np.asarray(bias, dtype=np.float64)
    O = np.empty_like(I)
    for n, y, x, c in np.ndindex(I.shape):
        O[n, y, x, c] = (I[n, y, x, c] - mean[c]) / (variance[c] + eps) ** 0.5 * w[c] + b[c]
    return O


def cross_entropy(logits: ArrayLike, target: ArrayLike, label_smoothing: float = 0.0) -> Array:
    """`L[n] = −Σ_c q[n,c] · log(exp z[n,c] / Σ_k exp z[n,k])` with `q = (1 − ε) · [c = target[n]] + ε / C`.

    (N, C) logits and (N,) class numbers → (N,).

    >>> cross_entropy([[0.0, 0.0]], [1]).round(4)  # log 2
    array([0.6931])
    """
    z, t = np.asarray(logits, dtype=np.float64), np.asarray(target)
    N, C = z.shape
    if ((t < 0) | (t >= C)).any():
        raise IndexError(f"class numbers are 0 … {C - 1}; got {t.tolist()}")
    L = np.zeros(N)
    for n, c in np.ndindex(N, C):
        q = (1 - label_smoothing) * (c == t[n]) + label_smoothing / C
        # Without the largest logit, exp cannot overflow; it cancels out of the quotient.
        log_p = z[n, c] - z[n].max() - log(sum(exp(z[n, k] - z[n].max()) for k in range(C)))
        L[n] -= q * log_p if q else 0  # log 0 of a class that is not asked for is no NaN
    return L
