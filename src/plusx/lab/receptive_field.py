"""How much of the picture does one unit see, and why are small kernels in a row a good way to see it?

The computed field of stacks of kernels and pools is compared with the measured one: where the gradient of one
output unit with respect to the input is not zero. Then two 3×3 layers stand against one 5×5, and three against
one 7×7, with the same field: at the same width, and at the same number of parameters.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from plusx import nn, ops
from plusx.lab.drawing import accuracy_bars, percent, short
from plusx.lab.experiment import Judgement, Numbers, Table, Text
from plusx.lab.names import listed, named
from plusx.lab.networks import unit
from plusx.lab.workbench import Workbench
from plusx.models import multiply_adds, receptive_field
from plusx.report.style import WIDTH, Theme, padded

SECTION = (
    "关键超参数: 卷积核大小(K)，感受野大小；池化的作用: 扩大感受野；作业一: VGG怎么做到的3×3是最优的选择？"
)
CLAIM = Text(
    "The kernel's size is the size of what is seen; 3×3 (VGG) is the best choice; pooling enlarges the field.",
    "卷积核大小(K)：感受野大小，3×3（VGG）；VGG怎么做到的3×3是最优的选择？扩大感受野：让后续层看到更大范围",
)
QUESTION = Text(
    "Measure the field of stacks of layers; compare 3×3 stacks with one 5×5 and one 7×7 of the same field.",
    "测量各种层叠的感受野；在相同感受野下比较 3×3 的堆叠与单个 5×5、7×7。",
)
RULE = Text(
    "Does not hold if a measured field differs from the computed one. Holds if both 3×3 stacks are at least as "
    "accurate as the large kernel, within 0.3 points, at the same width (with fewer parameters) and at the "
    "same number of parameters; with conditions if in only some of these four comparisons.",
    "若实测感受野与计算值不符，则不成立。若两种 3×3 堆叠在同宽度（参数更少）和同参数量下都不低于大卷积核"
    "（允许 0.3 个百分点），则成立；若四项比较中只有部分如此，则为有条件成立；全都不如则不成立。",
)
SEEDS = 2
WIDTH_OF_PART = 16


def plain(*kernels: int) -> list[nn.Module]:
    """Convolutions in a row with one channel, no padding."""
    return [nn.Conv2d(1, 1, K, bias=False) for K in kernels]


STACKS: dict[str, list[nn.Module]] = {
    "3×3": plain(3),
    "3×3, 3×3": plain(3, 3),
    "5×5": plain(5),
    "3×3, 3×3, 3×3": plain(3, 3, 3),
    "7×7": plain(7),
    "3×3, pool 2, 3×3": [*plain(3), nn.AvgPool2d(2), *plain(3)],
    "3×3 stride 2, 3×3, 3×3": [nn.Conv2d(1, 1, 3, stride=2, bias=False), *plain(3, 3)],
    "3×3 dilated 2, 3×3": [nn.Conv2d(1, 1, 3, dilation=2, bias=False), *plain(3)],
}


def gradient_map(layers: list[nn.Module], side: int = 31, random: int | None = None) -> np.ndarray:
    """|∂ middle output / ∂ input| (side, side); weights of one, or drawn from N(0, 1) with a seed."""
    x = torch.zeros(1, 1, side, side, requires_grad=True)
    generator = torch.Generator().manual_seed(random or 0)
    y = x
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            shape = layer.weight.shape
            w = torch.ones(shape) if random is None else torch.randn(shape, generator=generator)
            y = ops.conv2d(y, w, stride=layer.stride, dilation=layer.dilation)
        else:
            y = layer(y)
    y[0, 0, y.shape[2] // 2, y.shape[3] // 2].backward()
    assert x.grad is not None
    return x.grad[0, 0].abs().numpy()


def extent(field: np.ndarray) -> int:
    """Side of the square that holds every pixel with a gradient.

    >>> extent(gradient_map(plain(3, 3)))
    5
    """
    rows = np.flatnonzero(field.any(1))
    return int(rows[-1] - rows[0] + 1)


def middle_share(layers: list[nn.Module], draws: int = 200) -> float:
    """Share of the squared gradient without the outer ⌊r/4⌋ pixels of a field of side r, mean over random weights."""
    shares = []
    for seed in range(draws):
        field = gradient_map(layers, random=seed) ** 2
        rows, columns = (np.flatnonzero(field.any(axis)) for axis in (1, 0))
        square = field[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        cut = len(square) // 4
        shares.append(square[cut : len(square) - cut, cut : len(square) - cut].sum() / square.sum())
    return float(np.mean(shares))


# The part that is compared: kernels, and the channels between them.
PARTS: dict[str, tuple[tuple[int, ...], int]] = {
    "5×5": ((5,), WIDTH_OF_PART),
    "two 3×3": ((3, 3), WIDTH_OF_PART),
    "two 3×3, as many parameters": ((3, 3), 22),
    "7×7": ((7,), WIDTH_OF_PART),
    "three 3×3": ((3, 3, 3), WIDTH_OF_PART),
    "three 3×3, as many parameters": ((3, 3, 3), 25),
}


def part(kernels: tuple[int, ...], between: int) -> list[nn.Module]:
    """Units from 16 to 16 channels, with `between` channels inside."""
    channels = (WIDTH_OF_PART, *(between for _ in kernels[1:]), WIDTH_OF_PART)
    return [unit(a, b, K) for a, b, K in zip(channels, channels[1:], kernels, strict=False)]


def convolutions(layers: list[nn.Module]) -> list[nn.Conv2d]:
    """The convolutions inside, in order."""
    return [m for layer in layers for m in layer.modules() if isinstance(m, nn.Conv2d)]


def network(kernels: tuple[int, ...], between: int) -> nn.Sequential:
    """A 3×3 layer, pooling, the part that is compared on 16×16 maps, pooling, a linear layer."""
    before = (unit(3, WIDTH_OF_PART), nn.MaxPool2d(2))
    after = (nn.MaxPool2d(4), nn.Flatten(), nn.Linear(WIDTH_OF_PART * 4 * 4, 10))
    return nn.Sequential(*before, *part(kernels, between), *after)


def measure(bench: Workbench) -> Numbers:
    """Fields first, then trainings."""
    fields = {
        name: {
            "computed": receptive_field(layers),
            "measured": extent(gradient_map(layers)),
            "middle_share": middle_share(layers, 20 if bench.quick else 200),
            "map": gradient_map(layers).tolist(),
        }
        for name, layers in STACKS.items()
    }
    parts: dict[str, Any] = {}
    for name, settings in PARTS.items():
        layers = part(*settings)
        parts[name] = {
            "field": receptive_field([*convolutions(layers)]),
            "parameters": sum(m.weight.numel() for m in convolutions(layers)),
            "multiply_adds": multiply_adds(nn.Sequential(*layers).eval(), (WIDTH_OF_PART, 16, 16)),
            "non_linearities": len(layers),
            "accuracy": [
                bench.train(f"kernels {name}", partial(network, *settings), seed=seed).result["test_accuracy"]
                for seed in bench.seeds(SEEDS)
            ],
        }
    return {"fields": fields, "parts": parts}


NARROW = Text(
    "So a 3×3 stack is at least as good as one large kernel of the same field, in one small network; it has more "
    "ReLUs and norms too, and whether 3×3 is the best choice of all was not measured.",
    "可见在一个小网络里，3×3 的堆叠不差于相同感受野的单个大卷积核；它的 ReLU 和归一化也更多，而 3×3 是否在所有选择中最优并没有测量。",
)


def judge(numbers: Numbers) -> Judgement:
    """Apply the rule."""
    right = [row["computed"] == row["measured"] for row in numbers["fields"].values()]
    mean = {name: 100 * float(np.mean(row["accuracy"])) for name, row in numbers["parts"].items()}
    pairs = [
        (large, f"{count} 3×3{wider}")
        for large, count in (("5×5", "two"), ("7×7", "three"))
        for wider in ("", ", as many parameters")
    ]
    won = [mean[stack] >= mean[large] - 0.3 for large, stack in pairs]
    off = max(
        100 * abs(numbers["parts"][f"{count} 3×3, as many parameters"]["parameters"] / row["parameters"] - 1)
        for count, row in (("two", numbers["parts"]["5×5"]), ("three", numbers["parts"]["7×7"]))
    )
    because = Text(
        "{equal} of {fields} measured fields equal the computed ones. {accuracies} ('as many' to {off:.1f} %). "
        "{narrow}",
        "{fields} 个实测感受野中有 {equal} 个与计算值相同。{accuracies}（“参数量相同”指相差不超过 {off:.1f} %）。{narrow}",
    ).format(
        off=off,
        narrow=NARROW if all(won) else "",
        equal=sum(right),
        fields=len(numbers["fields"]),
        accuracies=listed({name: f"{value:.1f} %" for name, value in mean.items()}, Text("; ", "；")),
    )
    if not all(right) or not any(won):
        return Judgement("does not hold", because)
    return Judgement("holds" if all(won) else "holds with conditions", because)


def tables(numbers: Numbers) -> list[Table]:
    """Fields, then parts."""
    return [
        Table(
            Text(
                "field of view r in pixels; the last column compares rows of the same r (at 3 nothing is cut off)",
                "感受野 r（像素）；最后一列只能在 r 相同的行之间比较（r = 3 时什么也没有去掉）",
            ),
            (
                *(Text("layers", "层"), Text("computed", "计算"), Text("measured", "实测")),
                Text("gradient² without the outer ⌊r/4⌋ pixels", "去掉外围 ⌊r/4⌋ 个像素后的梯度平方占比"),
            ),
            tuple(
                (
                    named(name),
                    str(row["computed"]),
                    str(row["measured"]),
                    f"{100 * row['middle_share']:.0f} %",
                )
                for name, row in numbers["fields"].items()
            ),
        ),
        Table(
            Text("the same field by small and by large kernels", "用小卷积核与大卷积核得到相同感受野"),
            (
                *(Text("kernels", "卷积核"), Text("field", "感受野"), Text("parameters", "参数")),
                *(Text("mult-adds", "乘加"), Text("ReLUs", "非线性"), Text("accuracy", "准确率")),
            ),
            tuple(
                (
                    *(named(name), str(row["field"]), f"{row['parameters']:,}", short(row["multiply_adds"])),
                    *(str(row["non_linearities"]), percent(row["accuracy"])),
                )
                for name, row in numbers["parts"].items()
            ),
        ),
    ]


def draw(numbers: Numbers, theme: Theme) -> Figure:
    """Gradient maps with the computed square around them; below, the accuracies."""
    shown = ("3×3, 3×3", "5×5", "3×3, 3×3, 3×3", "7×7", "3×3, pool 2, 3×3")
    figure = Figure(figsize=(WIDTH, 4.6), layout=padded())
    top, bottom = np.asarray(figure.subfigures(2, 1, height_ratios=(2, 3)))
    for axes, name in zip(top.subplots(1, len(shown)), shown, strict=True):
        row = numbers["fields"][name]
        field = np.array(row["map"])
        axes.imshow(field / field.max(), cmap="Blues", vmin=0)
        rows, columns = (np.flatnonzero(field.any(axis)) for axis in (1, 0))
        corner = (columns[0] - 0.5, rows[0] - 0.5)
        square: dict[str, Any] = {"fill": False, "edgecolor": theme.train, "linewidth": 1.5}
        axes.add_patch(Rectangle(corner, row["computed"], row["computed"], **square))
        axes.set_xlim(8.5, 22.5)
        axes.set_ylim(22.5, 8.5)
        axes.set_title(f"{name}\n{row['computed']} px", fontsize=8.5)
        axes.set_axis_off()
    groups: dict[str, dict[str, list[float]]] = {}
    for large, count in (("5×5", "two"), ("7×7", "three")):
        groups[f"field of {large}"] = {
            "large kernel": numbers["parts"][large]["accuracy"],
            "3×3 stack": numbers["parts"][f"{count} 3×3"]["accuracy"],
            "3×3 stack, as many parameters": numbers["parts"][f"{count} 3×3, as many parameters"]["accuracy"],
        }
    axes = bottom.subplots()
    accuracy_bars(axes, groups, theme)
    bottom.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8.5)
    return figure
