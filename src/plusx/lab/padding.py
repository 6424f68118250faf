"""What is padding for, and can one do without it?

Three measurements: how many 3×3 layers without padding fit on a picture of 32 pixels; in how many windows a
corner, a border and a middle pixel take part; and what a network of six layers learns with and without padding.
"""

import itertools

import numpy as np
import torch
from matplotlib.figure import Figure

from plusx import nn, ops
from plusx.lab.drawing import accuracy_bars, percent
from plusx.lab.experiment import Judgement, Numbers, Table, Text
from plusx.lab.names import named
from plusx.lab.workbench import Workbench
from plusx.models import multiply_adds
from plusx.report.style import WIDTH, Theme, padded

SECTION = "填充类型；作业一: 填充作用是干什么的，不加填充可以吗？"
CLAIM = Text(
    "Valid: no padding, the output shrinks. Same: padding keeps the output as large as the input.",
    "Valid：无填充（输出尺寸缩小）；Same：填充使输出尺寸与输入相同",
)
QUESTION = Text(
    "Stack 3×3 layers without padding until nothing is left; count the windows of each pixel; train the same "
    "six layers with and without padding.",
    "不加填充地叠加 3×3 卷积层直到特征图消失；统计每个像素参与的窗口数；对同样的六层网络分别在有、无填充下训练。",
)
RULE = Text(
    "Holds if each valid 3×3 layer takes two rows and columns, same keeps the size, and doing without costs "
    "more than 1 point of accuracy at equal depth. With conditions if the sizes are right but it costs less: "
    "then a network of this depth can do without. Does not hold if a size is wrong.",
    "若每个 Valid 的 3×3 层使尺寸减 2、Same 保持尺寸不变，且同样深度下不加填充使准确率下降超过 1 个百分点，则成立；"
    "若尺寸正确但下降不到 1 个百分点（这个深度可以不加填充），则为有条件成立；若尺寸不符则不成立。",
)
SEEDS = 2


def six_layers(padding: int) -> nn.Sequential:
    """Three pairs of 3×3 convolutions with max pooling between; without padding 32 pixels end as 1."""

    def layer(in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
        convolution = nn.Conv2d(in_channels, out_channels, 3, padding=padding, bias=False)
        return convolution, nn.BatchNorm2d(out_channels), nn.ReLU()

    return nn.Sequential(
        *(*layer(3, 8), *layer(8, 8), nn.MaxPool2d(2)),
        *(*layer(8, 16), *layer(16, 16), nn.MaxPool2d(2)),
        *(*layer(16, 32), *layer(32, 32)),
        *(nn.GlobalAvgPool2d(), nn.Flatten(), nn.Linear(32, 10)),
    )


NETWORKS = {"same": lambda: six_layers(1), "valid": lambda: six_layers(0)}


def sizes_until_gone(side: int, padding: int = 0, limit: int = 20) -> list[int]:
    """Sides of the map after each 3×3 layer, until no window fits or `limit` layers.

    >>> sizes_until_gone(7)
    [7, 5, 3, 1]
    """
    layer, sides = nn.Conv2d(1, 1, 3, padding=padding), [side]
    x = torch.zeros(1, 1, side, side)
    while len(sides) <= limit:
        try:
            x = layer(x)
        except ValueError:  # no window fits any more
            break
        sides.append(x.shape[-1])
    return sides


def windows_of_pixels(side: int, padding: int) -> np.ndarray:
    """In how many 3×3 windows each pixel is: the gradient of the sum of all outputs for a kernel of ones.

    >>> windows_of_pixels(4, padding=0)[0].tolist()
    [1, 2, 2, 1]
    """
    x = torch.zeros(1, 1, side, side, requires_grad=True)
    ops.conv2d(x, torch.ones(1, 1, 3, 3), padding=padding).sum().backward()
    assert x.grad is not None
    return x.grad[0, 0].int().numpy()


def measure(bench: Workbench) -> Numbers:
    """Shrink, count, train."""
    counts = {name: windows_of_pixels(32, padding) for name, padding in (("valid", 0), ("same", 1))}
    numbers: Numbers = {
        "sides": {"valid": sizes_until_gone(32), "same": sizes_until_gone(32, padding=1)},
        "windows": {
            name: {"corner": int(c[0, 0]), "border": int(c[0, 16]), "middle": int(c[16, 16])}
            for name, c in counts.items()
        },
        "accuracy": {},
        "multiply_adds": {},
    }
    for name, build in NETWORKS.items():
        numbers["accuracy"][name] = [
            bench.train(f"padding {name}", build, seed=seed).result["test_accuracy"]
            for seed in bench.seeds(SEEDS)
        ]
        numbers["multiply_adds"][name] = multiply_adds(build().eval())
    return numbers


def judge(numbers: Numbers) -> Judgement:
    """Apply the rule."""
    valid, same = numbers["sides"]["valid"], numbers["sides"]["same"]
    right = all(a - b == 2 for a, b in itertools.pairwise(valid)) and set(same) == {32}
    mean = {name: 100 * float(np.mean(values)) for name, values in numbers["accuracy"].items()}
    cost = mean["same"] - mean["valid"]
    because = Text(
        "After {layers} valid 3×3 layers a map of 32×32 is {last}×{last} and has no room for another. A corner "
        "pixel is in {corner} window, one in the middle in {middle}. Six layers reach {without:.2f} % "
        "without padding and {padded:.2f} % with it, {difference:+.2f} points.",
        "经过 {layers} 个 Valid 的 3×3 层，32×32 的特征图只剩 {last}×{last}，再也放不下一层。角上的像素只参与 {corner} 个"
        "窗口，中间的像素参与 {middle} 个。六层网络不加填充达到 {without:.2f} %，加填充 {padded:.2f} %，相差 {difference:+.2f} 个百分点。",
    ).format(
        **{"layers": len(valid) - 1, "last": valid[-1], "difference": -cost, **numbers["windows"]["valid"]},
        **{"without": mean["valid"], "padded": mean["same"]},
    )
    if not right:
        return Judgement("does not hold", because)
    return Judgement("holds" if cost > 1 else "holds with conditions", because)


def tables(numbers: Numbers) -> list[Table]:
    """Windows, work and accuracy."""
    columns = (
        *(Text("padding", "填充"), Text("corner", "角"), Text("border", "边"), Text("middle", "中间")),
        *(Text("multiply-adds", "乘加次数"), Text("test accuracy", "测试准确率")),
    )
    return [
        Table(
            Text("windows a pixel is in, and six layers trained", "每个像素参与的窗口数，以及六层网络的结果"),
            columns,
            tuple(
                (
                    named(name),
                    *map(str, windows.values()),
                    f"{numbers['multiply_adds'][name] / 1e6:.2f} M",
                    percent(numbers["accuracy"][name]),
                )
                for name, windows in numbers["windows"].items()
            ),
        )
    ]


def draw(numbers: Numbers, theme: Theme) -> Figure:
    """The shrinking map, and the two accuracies."""
    figure = Figure(figsize=(WIDTH, 3.2), layout=padded())
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for (name, sides), colour in zip(numbers["sides"].items(), (theme.train, theme.test), strict=True):
        left.plot(range(len(sides)), sides, "o-", color=colour, label=name, markeredgewidth=0)
    left.set_xlabel("3×3 layers")
    left.set_ylabel("side of the map in pixels")
    left.set_ylim(0, 34)
    left.legend(frameon=False)
    accuracy_bars(right, {name: {"": values} for name, values in numbers["accuracy"].items()}, theme)
    return figure
