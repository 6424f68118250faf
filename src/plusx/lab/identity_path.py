"""Does the gradient of a residual block really have the form ∂L/∂y · (∂F/∂x + 1)?

The Jacobian of a real block is taken twice, by automatic differentiation and by finite differences, and
compared with ∂F/∂x + 1: before the block's last ReLU and after it. Then gradients go back through up to twenty
blocks, with shortcuts and without, while F is made smaller and smaller.
"""

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from plusx import nn
from plusx.lab.drawing import logarithmic, short
from plusx.lab.experiment import Judgement, Numbers, Table, Text
from plusx.lab.names import named
from plusx.lab.workbench import Workbench
from plusx.models import BasicBlock
from plusx.report.style import WIDTH, Theme, padded

SECTION = "残差连接如何解决梯度消失"
CLAIM = Text(
    "∂L/∂x = ∂L/∂y · (∂F(x)/∂x + 1): even where ∂F/∂x ≈ 0 the gradient goes on through the +1.",
    "∂L/∂x = ∂L/∂y · (∂F(x)/∂x + 1)；即使 ∂F(x)/∂x ≈ 0，梯度仍可通过 +1 这条路径传播，避免梯度消失",
)
QUESTION = Text(
    "Compare the Jacobian of a real block with ∂F/∂x + 1, and send a gradient back through 1 to 20 blocks.",
    "把真实残差块的雅可比矩阵与 ∂F/∂x + 1 比较，并让梯度反向穿过 1 到 20 个块。",
)
RULE = Text(
    "Does not hold unless Jacobian and formula agree to 10⁻⁶ before the last ReLU and, with F = 0, the gradient "
    "there passes unchanged. Holds if the ReLU after the addition takes nothing away either; with conditions "
    "if it cuts the +1 where it cuts the signal.",
    "若在最后一个 ReLU 之前雅可比矩阵与公式之差不小于 10⁻⁶，或 F = 0 时梯度没有原样通过，则不成立。"
    "若相加之后的 ReLU 也不损失梯度，则成立；若它在截断信号的地方也截断 +1，则为有条件成立。",
)
CHANNELS, SIDE = 3, 4
DRAWN = 1000
"""Pictures whose numbers are looked at one by one."""
BLOCKS = (1, 2, 3, 5, 8, 12, 16, 20)
SCALES = (1.0, 0.1, 0.0)


def block(scale: float = 1.0, residual: bool = True, seed: int = 0) -> BasicBlock:
    """A block in float64 whose F is multiplied by `scale`; batch norm in evaluation mode, so one picture is enough."""
    torch.manual_seed(seed)
    made = BasicBlock(CHANNELS, CHANNELS, residual=residual).double().eval()
    with torch.no_grad():
        for layer in made.modules():
            if isinstance(layer, nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight)
        made.bn2.weight.mul_(scale)
    return made


def before_relu(made: BasicBlock) -> Callable[[Tensor], Tensor]:
    """F(x) + x, what the block's last ReLU is given."""
    return lambda x: made.transform(x) + made.shortcut(x)


def jacobian(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∂ outputs / ∂ inputs by automatic differentiation, (outputs, inputs)."""
    full: Tensor = torch.autograd.functional.jacobian(function, x)
    return full.reshape(full.shape[: x.dim()].numel(), x.numel())


def finite_differences(function: Callable[[Tensor], Tensor], x: Tensor, step: float = 1e-6) -> Tensor:
    """The same by (f(x + h) − f(x − h)) / 2h, a column for each input."""
    columns = []
    with torch.no_grad():
        for k in range(x.numel()):
            moved = torch.zeros(x.numel(), dtype=x.dtype)
            moved[k] = step
            moved = moved.view_as(x)
            columns.append((function(x + moved) - function(x - moved)).flatten() / (2 * step))
    return torch.stack(columns, dim=1)


def gradient_at_the_start(blocks: int, scale: float, residual: bool, seed: int) -> float:
    """‖∂L/∂x‖ / ‖∂L/∂y‖ through so many blocks, for a random ∂L/∂y."""
    path = nn.Sequential(*(block(scale, residual, seed=1000 * seed + k) for k in range(blocks)))
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(8, CHANNELS, SIDE, SIDE, dtype=torch.float64, generator=generator).requires_grad_()
    y = path(x)
    upstream = torch.randn(y.shape, dtype=torch.float64, generator=generator)
    (gradient,) = torch.autograd.grad(y, x, upstream)
    return float(gradient.norm() / upstream.norm())


def share_cut(made: BasicBlock, x: Tensor) -> float:
    """Share of the numbers of x through which no gradient passes, if F = 0: each output depends on one of them."""
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(made(x).sum(), x)
    return float((gradient == 0).double().mean())


def measure(bench: Workbench) -> Numbers:
    """Jacobians of one block, then gradients through many."""
    torch.manual_seed(0)
    x = torch.randn(1, CHANNELS, SIDE, SIDE, dtype=torch.float64)
    real = block()
    one = torch.eye(x.numel(), dtype=torch.float64)
    J_F = finite_differences(real.transform, x)
    mask = (real(x) > 0).double().flatten()
    silent = block(scale=0.0)
    many = torch.randn(DRAWN, CHANNELS, SIDE, SIDE, dtype=torch.float64)
    numbers: Numbers = {
        "before_relu": float((jacobian(before_relu(real), x) - (J_F + one)).abs().max()),
        "after_relu": float((jacobian(real, x) - mask[:, None] * (J_F + one)).abs().max()),
        "silent_before_relu": float((jacobian(before_relu(silent), x) - one).abs().max()),
        "random_inputs": many.numel(),
        "share_cut_by_relu": share_cut(silent, many),
        "share_cut_for_positive_x": share_cut(silent, many.abs()),
        "chain": {},
    }
    for scale in SCALES:
        for residual in (True, False):
            name = f"{'residual' if residual else 'plain'}, F × {scale:g}"
            numbers["chain"][name] = [
                float(np.mean([gradient_at_the_start(n, scale, residual, seed) for seed in range(5)]))
                for n in BLOCKS
            ]
    return numbers


def judge(numbers: Numbers) -> Judgement:
    """Apply the rule."""
    exact = max(numbers["before_relu"], numbers["silent_before_relu"]) < 1e-6
    chain = numbers["chain"]
    because = Text(
        "Jacobian and ∂F/∂x + 1 differ by {before:.0e} at most. With F = 0 the ReLU after the addition cuts the "
        "gradient of {cut:.0f} % of {drawn:,} random inputs, and of {positive:.0f} % of inputs that are all "
        "positive. Through 20 blocks with F × 0.1 a gradient keeps {res} of its size with shortcuts, {plain} "
        "without. With F × 1 it has {res_1} of its size with shortcuts, {plain_1} without: the +1 keeps it from "
        "vanishing, not from growing.",
        "雅可比矩阵与 ∂F/∂x + 1 最多相差 {before:.0e}。F = 0 时，{drawn:,} 个随机输入中，相加之后的 ReLU 截断了 "
        "{cut:.0f} % 的梯度，而对全为正数的输入截断 {positive:.0f} %。F × 0.1 时穿过 20 个块，有捷径的梯度保留 {res} 倍，"
        "没有捷径的只剩 {plain} 倍。F × 1 时，有捷径的变为 {res_1} 倍，没有捷径的变为 {plain_1} 倍：+1 防止梯度消失，但不防止它变大。",
    ).format(
        before=numbers["before_relu"],
        drawn=numbers["random_inputs"],
        cut=100 * numbers["share_cut_by_relu"],
        positive=100 * numbers["share_cut_for_positive_x"],
        res=f"{chain['residual, F × 0.1'][-1]:.2g}",
        plain=f"{chain['plain, F × 0.1'][-1]:.0e}",
        res_1=f"{chain['residual, F × 1'][-1]:.0f}",
        plain_1=f"{chain['plain, F × 1'][-1]:.0e}",
    )
    if not exact or numbers["after_relu"] > 1e-6:
        return Judgement("does not hold", because)
    return Judgement("holds" if numbers["share_cut_by_relu"] == 0 else "holds with conditions", because)


def tables(numbers: Numbers) -> list[Table]:
    """Agreement of the Jacobians, then the chains."""
    rows = (
        (
            Text("J − (∂F/∂x + 1), before the last ReLU", "J − (∂F/∂x + 1)，最后一个 ReLU 之前"),
            f"{numbers['before_relu']:.1e}",
        ),
        (
            Text("J − mask · (∂F/∂x + 1), after it", "J − 掩码 · (∂F/∂x + 1)，最后一个 ReLU 之后"),
            f"{numbers['after_relu']:.1e}",
        ),
        (
            Text("J − 1 with F = 0, before the last ReLU", "F = 0 时的 J − 1，最后一个 ReLU 之前"),
            f"{numbers['silent_before_relu']:.1e}",
        ),
    )
    shown = [BLOCKS.index(n) for n in (1, 5, 12, 20)]
    return [
        Table(Text("largest difference", "最大差"), (Text("Jacobians", "雅可比矩阵"), Text("", "")), rows),
        Table(
            Text("‖∂L/∂x‖ / ‖∂L/∂y‖ through so many blocks", "穿过若干块后的 ‖∂L/∂x‖ / ‖∂L/∂y‖"),
            (Text("blocks", "块"), *(Text(str(BLOCKS[k]), str(BLOCKS[k])) for k in shown)),
            tuple(
                (named(name), *(f"{values[k]:.2g}" for k in shown))
                for name, values in numbers["chain"].items()
            ),
        ),
    ]


def draw(numbers: Numbers, theme: Theme) -> Figure:
    """Gradient against the number of blocks; a plain block with F = 0 lets nothing through and is not drawn."""
    figure = Figure(figsize=(WIDTH, 3.4), layout=padded())
    axes = figure.subplots()
    for scale, colour in zip(SCALES, (theme.test, theme.train, theme.validation), strict=True):
        for kind, style in (("residual", "-"), ("plain", "--")):
            values = numbers["chain"][f"{kind}, F × {scale:g}"]
            if min(values) > 0:
                label = f"{kind}, F × {scale:g}"
                # With shortcuts F × 0 and F × 0.1 are the same to the eye: the one is a wide band under the other.
                look = (
                    {"linewidth": 7, "alpha": 0.35} if scale == 0 else {"marker": "o", "markeredgewidth": 0}
                )
                axes.plot(BLOCKS, values, style, color=colour, label=label, zorder=2 + (scale > 0), **look)
    logarithmic(axes.yaxis)
    axes.yaxis.set_major_formatter(lambda value, _: short(value) if value >= 1e-3 else f"{value:.0e}")
    axes.set_xticks(BLOCKS)
    axes.set_xlabel("blocks")
    axes.set_ylabel("size of the gradient, end = 1")
    figure.legend(loc="outside right upper", frameon=False)
    return figure
