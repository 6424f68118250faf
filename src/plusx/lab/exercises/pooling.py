"""What pooling by hand is checked for; the truth is torch's."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from plusx.lab.exercises.checking import Check, function_check
from plusx.lab.experiment import Text


def picture(*shape: int, ties: bool = False) -> Tensor:
    """Random numbers; whole ones from a small range, and negative too, where ties are wanted."""
    generator = torch.Generator().manual_seed(0)
    if ties:
        return torch.randint(-4, 0, shape, generator=generator).double()
    return torch.randn(shape, dtype=torch.float64, generator=generator) - 2


def backward(forward: Callable[[Tensor], Tensor], grad: Tensor, x: Tensor) -> Tensor:
    """∂L/∂x by torch."""
    x = x.clone().requires_grad_()
    (dx,) = torch.autograd.grad(forward(x), x, grad)
    return dx


def true_max(x: Tensor, K: int, s: int, P: int) -> Tensor:
    """Torch's."""
    return F.max_pool2d(x, K, s, P)


def zero_padded_max(x: Tensor, K: int, s: int, P: int) -> Tensor:
    """A mistake: the padding is 0 and wins over negative numbers."""
    return F.max_pool2d(F.pad(x, (P, P, P, P)), K, s)


def tied(grad: Tensor, x: Tensor, K: int, s: int, P: int, to: str) -> Tensor:
    """A mistake: "all" the largest pixels of a window receive its gradient, or "share" it, or the "last" does."""
    padded = F.pad(x, (P, P, P, P), value=-torch.inf)
    dpadded = torch.zeros_like(padded)
    for p in range(grad.shape[2]):
        for q in range(grad.shape[3]):
            window = (..., slice(p * s, p * s + K), slice(q * s, q * s + K))
            best = (padded[window] == padded[window].amax((2, 3), keepdim=True)).double()
            if to == "share":
                best = best / best.sum((2, 3), keepdim=True)
            if to == "last":
                order = torch.arange(1.0, K * K + 1, dtype=best.dtype).view(K, K)
                best = ((best * order) == (best * order).amax((2, 3), keepdim=True)).double()
            dpadded[window] += best * grad[:, :, p, q, None, None]
    return dpadded[..., P : P + x.shape[2], P : P + x.shape[3]]


def overwritten(forward: Callable[[Tensor], Tensor], grad: Tensor, x: Tensor) -> Tensor:
    """A mistake: where windows overlap, the last one's gradient replaces the others'."""
    dx = torch.zeros_like(x)
    for p in range(grad.shape[2]):
        for q in range(grad.shape[3]):
            alone = torch.zeros_like(grad)
            alone[:, :, p, q] = grad[:, :, p, q]
            part = backward(forward, alone, x)
            dx = torch.where(part != 0, part, dx)
    return dx


def mean(x: Tensor, K: int, s: int, P: int, count_include_pad: bool = True) -> Tensor:
    """Torch's."""
    return F.avg_pool2d(x, K, s, P, count_include_pad=count_include_pad)


def size_mistakes(forward: Callable[..., Tensor]) -> dict[Text, Callable[..., Any]]:
    """What goes wrong with the number of windows, whatever is pooled."""
    return {
        Text("one window too few: the size is ⌊(H + 2P − K) / s⌋ + 1, mind the + 1",
             "少了一个窗口：尺寸是 ⌊(H + 2P − K) / s⌋ + 1，别忘了 + 1"): lambda *a: forward(*a)[..., :-1, :-1],
        Text("the padding is forgotten: P pixels on every side count into the size",
             "忘了填充：四边各 P 个像素都要算进尺寸"): lambda x, K, s, P, *r: forward(x, K, s, 0, *r),
        Text("the windows move by 1 instead of the stride s",
             "窗口每次移动了 1，而不是步长 s"): lambda x, K, s, P, *r: forward(x, K, 1, P, *r),
        Text("the windows move by K instead of the stride s",
             "窗口每次移动了 K，而不是步长 s"): lambda x, K, s, P, *r: forward(x, K, K, P, *r),
        Text("the size is rounded up; the formula rounds down",
             "尺寸向上取整了；公式是向下取整"): lambda x, K, s, P, *r: F.max_pool2d(x, K, s, P, ceil_mode=True)
        if forward is true_max
        else F.avg_pool2d(x, K, s, P, ceil_mode=True, count_include_pad=r[0] if r else True),
    }  # fmt: skip


SIZES = ((5, 2, 2, 0), (6, 3, 2, 1), (7, 3, 1, 1), (8, 3, 3, 0), (4, 2, 2, 0))
"""(H, K, s, P), chosen so that the mistakes differ from each other."""


def gradient_cases(forward: Callable[..., Tensor], ties: bool, *more: Any) -> list[tuple[Any, ...]]:
    """Upstream gradients that fit the outputs, without zeros."""
    cases = []
    for H, K, s, P in SIZES:
        x = picture(2, 2, H, H + 1, ties=ties)
        y = forward(x, K, s, P, *more)
        cases.append((torch.arange(1.0, y.numel() + 1, dtype=torch.float64).view_as(y), x, K, s, P, *more))
    return cases


def max_pooling() -> list[Check]:
    """Forward and backward."""
    forward = function_check(
        "max_pool2d",
        Text("max pooling", "最大池化"),
        true_max,
        {
            **size_mistakes(true_max),
            Text("padding wins over negative numbers: it has to count as −∞, not as 0",
                 "填充赢过了负数：填充应当作 −∞，而不是 0"): zero_padded_max,
            Text("that is the smallest number of each window", "这是每个窗口的最小值"):
                lambda x, K, s, P: -true_max(-x, K, s, P),
            Text("that is the mean of each window, not its maximum", "这是每个窗口的平均值，而不是最大值"): mean,
        },
        [(picture(2, 2, H, H + 1), K, s, P) for H, K, s, P in SIZES],
    )  # fmt: skip
    back = function_check(
        "max_pool2d_backward",
        Text("max pooling, backward", "最大池化的反向传播"),
        lambda g, x, K, s, P: backward(lambda t: true_max(t, K, s, P), g, x),
        {
            Text("the gradient goes to every pixel that is the largest; only the first one, row by row, gets it",
                 "梯度给了每一个最大的像素；应当只给按行优先顺序的第一个"): partial(tied, to="all"),
            Text("the gradient is shared among the largest pixels; the first one, row by row, gets all of it",
                 "梯度在并列最大的像素间平分了；应当全部给按行优先顺序的第一个"):
                partial(tied, to="share"),
            Text("the gradient goes to the last of the largest pixels, not to the first (> or ≥?)",
                 "梯度给了最后一个最大值，而不是第一个（用 > 还是 ≥？）"):
                partial(tied, to="last"),
            Text("where windows overlap, a pixel's gradients have to be added, not replaced",
                 "窗口重叠处，像素的梯度应当相加，而不是覆盖"):
                lambda g, x, K, s, P: overwritten(lambda t: true_max(t, K, s, P), g, x),
        },
        gradient_cases(true_max, ties=False) + gradient_cases(true_max, ties=True),
    )  # fmt: skip
    return [forward, back]


def average_pooling() -> list[Check]:
    """Forward and backward, the padding counted or not."""
    by_padding = {
        Text("at a padded border the sum has to be divided by K², since the padding counts",
             "填充边缘处应除以 K²，因为填充也计入"): lambda x, K, s, P, *_: mean(x, K, s, P, False),
        Text("with count_include_pad=False divide by the pixels of the picture in the window, not by K²",
             "count_include_pad=False 时应除以窗口内图像的像素数，而不是 K²"): lambda x, K, s, P, *_: mean(x, K, s, P, True),
        Text("that is the sum of each window; divide it", "这是每个窗口的和；还要除以像素数"):
            lambda x, K, s, P, *_: mean(x, K, s, P, True) * K * K,
    }  # fmt: skip
    checks = []
    for counted in (True, False):
        note = "" if counted else ", count_include_pad=False"
        more = () if counted else (False,)
        checks.append(
            function_check(
                "avg_pool2d",
                Text(f"average pooling{note}", f"平均池化{note}"),
                mean,
                {**by_padding, **size_mistakes(mean)},
                [(picture(2, 2, H, H + 1), K, s, P, *more) for H, K, s, P in SIZES],
            )
        )
        checks.append(
            function_check(
                "avg_pool2d_backward",
                Text(f"average pooling, backward{note}", f"平均池化的反向传播{note}"),
                lambda g, x, K, s, P, c=True: backward(lambda t: mean(t, K, s, P, c), g, x),
                {
                    Text(
                        "every pixel gets the whole gradient; it gets its share, divided as in the forward pass",
                        "每个像素得到了整个梯度；应当按前向的除数分得一份",
                    ): lambda g, x, K, s, P, *_: backward(lambda t: mean(t, K, s, P, True), g * K * K, x),
                    Text(
                        "divided wrongly at padded borders: forward and backward divide by the same number",
                        "填充边缘处除数不对：反向与前向要除以同一个数",
                    ): lambda g, x, K, s, P, c=True: backward(lambda t: mean(t, K, s, P, not c), g, x),
                    Text(
                        "where windows overlap, a pixel's gradients have to be added, not replaced",
                        "窗口重叠处，像素的梯度应当相加，而不是覆盖",
                    ): lambda g, x, K, s, P, c=True: overwritten(lambda t: mean(t, K, s, P, c), g, x),
                },
                gradient_cases(mean, False, *more),
            )
        )
    return checks


CHECKS = (*max_pooling(), *average_pooling())
