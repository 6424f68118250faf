"""What convolution by hand is checked for; the truth is torch's."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from plusx.lab.exercises.checking import Check, function_check
from plusx.lab.experiment import Text
from plusx.ops.shape import output_size


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Random, float64."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def conv(x: Tensor, w: Tensor, b: Tensor | None, s: int, P: int) -> Tensor:
    """Torch's."""
    return F.conv2d(x, w, b, s, P)


def backward(grad: Tensor, x: Tensor, w: Tensor, s: int, P: int) -> tuple[Tensor, ...]:
    """The three gradients by torch."""
    x, w = x.clone().requires_grad_(), w.clone().requires_grad_()
    b = torch.zeros(len(w), dtype=w.dtype, requires_grad=True)
    return torch.autograd.grad(conv(x, w, b, s, P), (x, w, b), grad)


def changed(index: int, change: Any) -> Any:
    """A mistake in one of the three gradients only."""

    def mistaken(*arguments: Any) -> tuple[Tensor, ...]:
        parts = list(backward(*arguments))
        parts[index] = change(parts[index], *arguments)
        return tuple(parts)

    return mistaken


def side(H: int, K: int, s: int, P: int) -> int:
    """⌊(H + 2P − K) / s⌋ + 1."""
    return output_size((H, H), K, s, P)[0]


SIZES = ((5, 3, 1, 0), (7, 3, 2, 1), (6, 2, 2, 0), (6, 3, 1, 1))
"""(H, K, s, P)."""

FORWARD = {
    Text("one row and column too few: the size is ⌊(H + 2P − K) / s⌋ + 1, mind the + 1",
         "少了一行一列：尺寸是 ⌊(H + 2P − K) / s⌋ + 1，别忘了 + 1"): lambda *a: conv(*a)[..., :-1, :-1],
    Text("the bias is forgotten", "忘了加偏置"): lambda x, w, b, s, P: conv(x, w, None, s, P),
    Text("the kernel is flipped: the lesson's formula reads I[y·s + i], not I[y·s − i]",
         "卷积核翻转了：课程公式读的是 I[y·s + i]，不是 I[y·s − i]"): lambda x, w, b, s, P: conv(x, w.flip(2, 3), b, s, P),
    Text("the kernel is transposed: i goes down, j goes right",
         "卷积核转置了：i 向下，j 向右"): lambda x, w, b, s, P: conv(x, w.transpose(2, 3), b, s, P),
    Text("the padding is forgotten", "忘了填充"): lambda x, w, b, s, P: conv(x, w, b, s, 0),
    Text("the stride is ignored: window y begins at y·s", "忽略了步长：第 y 个窗口从 y·s 开始"):
        lambda x, w, b, s, P: conv(x, w, b, 1, P),
    Text("the input channels are averaged; they have to be added",
         "输入通道取了平均；应当相加"): lambda x, w, b, s, P: conv(x, w / x.shape[1], b, s, P),
    Text("only the first input channel is read; sum over all of them",
         "只读了第一个输入通道；应对所有通道求和"): lambda x, w, b, s, P: conv(x[:, :1], w[:, :1], b, s, P),
}  # fmt: skip

BACKWARD = {
    Text("∂L/∂b is the mean of the gradient; it has to be the sum over pictures and positions",
         "∂L/∂b 取了平均；应当对图片和位置求和"): changed(2, lambda d, g, *_: g.mean((0, 2, 3))),
    Text("∂L/∂b does not add up the pictures of the batch", "∂L/∂b 没有对批次中的图片求和"):
        changed(2, lambda d, g, *_: g[0].sum((1, 2))),
    Text("∂L/∂x uses the kernel flipped; the pixel at (y·s + i, x·s + j) gets grad · W[i, j]",
         "∂L/∂x 用了翻转的卷积核；(y·s + i, x·s + j) 处的像素得到 grad · W[i, j]"):
        changed(0, lambda d, g, x, w, s, P: backward(g, x, w.flip(2, 3), s, P)[0]),
    Text("∂L/∂x still has the padding on it: cut it off", "∂L/∂x 还带着填充：应当切掉"):
        changed(0, lambda d, g, x, w, s, P: backward(g, F.pad(x, (P, P, P, P)), w, s, 0)[0]),
    Text("∂L/∂w is divided by the number of pictures; it has to be the sum over them",
         "∂L/∂w 除以了图片数；应当是求和"): changed(1, lambda d, g, x, *_: d / len(x)),
    Text("∂L/∂w is flipped", "∂L/∂w 翻转了"): changed(1, lambda d, *_: d.flip(2, 3)),
}  # fmt: skip

CHECKS: tuple[Check, ...] = (
    function_check(
        "output_size",
        Text("output size", "输出尺寸"),
        side,
        {
            Text("mind the + 1", "别忘了 + 1"): lambda H, K, s, P: (H + 2 * P - K) // s,
            Text("the padding is on both sides: 2P", "填充在两侧：2P"): lambda H, K, s, P: (
                (H + P - K) // s + 1
            ),
            Text("round down, not up", "应向下取整，而不是向上"): lambda H, K, s, P: (
                -(-(H + 2 * P - K) // s) + 1
            ),
            Text("an integer is wanted: //, not /", "结果应为整数：用 // 而不是 /"): lambda H, K, s, P: (
                (H + 2 * P - K) / s + 1
            ),
        },
        [(9, 3, 1, 2), (8, 3, 2, 1), (224, 7, 2, 3), (5, 2, 2, 0), (32, 3, 1, 0)],
    ),
    function_check(
        "conv2d",
        Text("convolution", "卷积"),
        conv,
        FORWARD,
        [
            (numbers(2, 3, H, H + 1), numbers(4, 3, K, K, seed=1), numbers(4, seed=2), s, P)
            for H, K, s, P in SIZES
        ],
    ),
    function_check(
        "conv2d_backward",
        Text("convolution, backward", "卷积的反向传播"),
        backward,
        BACKWARD,
        [
            (
                numbers(2, 4, side(H, K, s, P), side(H + 1, K, s, P), seed=3),
                numbers(2, 3, H, H + 1),
                numbers(4, 3, K, K, seed=1),
                s,
                P,
            )
            for H, K, s, P in SIZES
        ],
    ),
)
