"""What do strides that are too large or too small do?

The first layer of one small network gets stride 1, 2, 4 or 8; everything after it stays the same, since the
network ends with global pooling. So the map, the work and the field of view of what follows change with it.
"""

from functools import partial

import numpy as np
import torch
from matplotlib.figure import Figure

from plusx import nn, ops
from plusx.lab.drawing import accuracy_bars, percent, short
from plusx.lab.experiment import Judgement, Numbers, Table, Text
from plusx.lab.networks import unit
from plusx.lab.workbench import Workbench
from plusx.models import multiply_adds, receptive_field
from plusx.report.style import WIDTH, Theme, padded

SECTION = "关键超参数: 步长(Stride)；作业一: 步长过大过小会导致什么？"
CLAIM = Text(
    "The stride is by how many pixels the kernel moves; usual values are 1 or 2.",
    "步长(Stride)：卷积核移动步长，常用值 1或2",
)
QUESTION = Text(
    "Give the first layer of the same network stride 1, 2, 4 and 8: map, work, pixels read, seconds, accuracy.",
    "让同一网络第一层的步长取 1、2、4、8：比较特征图大小、计算量、读到的像素、耗时和准确率。",
)
RULE = Text(
    "Holds if stride 1 or 2 has the highest mean accuracy and strides 4 and 8 both lose more than 1 point "
    "against it; with conditions if only one of them does; otherwise it does not hold.",
    "若步长 1 或 2 的平均准确率最高，且步长 4 和 8 都比它低 1 个百分点以上，则成立；"
    "若只有其中之一如此，则为有条件成立；否则不成立。",
)
SEEDS = 2
STRIDES = (1, 2, 4, 8)


def network(stride: int) -> nn.Sequential:
    """Three 3×3 layers, the first one with this stride; global average pooling; a linear layer."""
    layers = (unit(3, 16, stride=stride), unit(16, 16), unit(16, 32))
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Flatten(), nn.Linear(32, 10))


def share_read(stride: int, side: int = 32) -> float:
    """Share of the pixels that at least one 3×3 window reads.

    >>> [share_read(s) for s in (1, 4)]
    [1.0, 0.5...]
    """
    x = torch.zeros(1, 1, side, side, requires_grad=True)
    ops.conv2d(x, torch.ones(1, 1, 3, 3), stride=stride, padding=1).sum().backward()
    assert x.grad is not None
    return float((x.grad > 0).double().mean())


def measure(bench: Workbench) -> Numbers:
    """Build, count and train each."""
    numbers: Numbers = {}
    for stride in STRIDES:
        model = network(stride).eval()
        runs = [
            bench.train(f"stride {stride}", partial(network, stride), seed=seed).result
            for seed in bench.seeds(SEEDS)
        ]
        numbers[str(stride)] = {
            "side": model[0](torch.zeros(1, 3, 32, 32)).shape[-1],
            "multiply_adds": multiply_adds(model),
            "share_read": share_read(stride),
            "receptive_field": receptive_field(list(model.modules())),
            "seconds": float(np.mean([run["seconds"]["train"] for run in runs])),
            "accuracy": [run["test_accuracy"] for run in runs],
        }
    return numbers


def judge(numbers: Numbers) -> Judgement:
    """Apply the rule."""
    mean = {stride: 100 * float(np.mean(row["accuracy"])) for stride, row in numbers.items()}
    best = max(mean, key=lambda stride: mean[stride])
    small = max(mean["1"], mean["2"])
    lost = [small - mean[stride] > 1 for stride in ("4", "8")]
    because = Text(
        "Accuracy at stride 1, 2, 4, 8: {a1:.1f}, {a2:.1f}, {a4:.1f}, {a8:.1f} %, for {m1}, {m2}, {m4}, {m8} "
        "multiply-adds. At stride 4 the windows read {r4:.0f} % of the pixels, at stride 8 {r8:.0f} %.",
        "步长 1、2、4、8 的准确率为 {a1:.1f}、{a2:.1f}、{a4:.1f}、{a8:.1f} %，乘加次数为 {m1}、{m2}、{m4}、{m8}。"
        "步长 4 时窗口只读到 {r4:.0f} % 的像素，步长 8 时 {r8:.0f} %。",
    ).format(
        **{f"a{stride}": value for stride, value in mean.items()},
        **{f"m{stride}": short(row["multiply_adds"]) for stride, row in numbers.items()},
        **{f"r{stride}": 100 * row["share_read"] for stride, row in numbers.items()},
    )
    if best not in ("1", "2") or not any(lost):
        return Judgement("does not hold", because)
    return Judgement("holds" if all(lost) else "holds with conditions", because)


def tables(numbers: Numbers) -> list[Table]:
    """A row for each stride."""
    columns = (
        *(Text("stride", "步长"), Text("map", "特征图"), Text("pixels read", "读到的像素")),
        *(Text("field", "感受野"), Text("multiply-adds", "乘加次数"), Text("training", "训练")),
        Text("test accuracy", "测试准确率"),
    )
    return [
        Table(
            Text("stride of the first layer", "第一层的步长"),
            columns,
            tuple(
                (
                    *(stride, f"{row['side']}×{row['side']}", f"{100 * row['share_read']:.0f} %"),
                    *(f"{row['receptive_field']} px", short(row["multiply_adds"]), f"{row['seconds']:.0f} s"),
                    percent(row["accuracy"]),
                )
                for stride, row in numbers.items()
            ),
        )
    ]


def draw(numbers: Numbers, theme: Theme) -> Figure:
    """Accuracy, and beside it the work that it took."""
    figure = Figure(figsize=(WIDTH, 3.0), layout=padded())
    left, right = figure.subplots(1, 2)
    accuracy_bars(left, {stride: {"": row["accuracy"]} for stride, row in numbers.items()}, theme)
    left.set_xlabel("stride of the first layer")
    work = [row["multiply_adds"] / 1e6 for row in numbers.values()]
    bars = right.bar(list(numbers), work, color=theme.train)
    right.bar_label(bars, [f"{w:.2g}" for w in work], padding=3, fontsize=8.5)
    right.set_ylabel("million multiply-adds")
    right.set_xlabel("stride of the first layer")
    return figure
