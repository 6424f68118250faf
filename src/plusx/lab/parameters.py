"""How many weights does a fully connected layer need on a picture, and how many a convolution?

Nothing is computed by a formula here: the layers and networks are built, without their weights being
allocated, and counted.
"""

import numpy as np
import torch
from matplotlib.figure import Figure

from plusx import nn
from plusx.lab.drawing import logarithmic, short
from plusx.lab.experiment import Judgement, Numbers, Table, Text
from plusx.lab.names import named
from plusx.lab.workbench import Workbench
from plusx.models import create_model, multiply_adds
from plusx.report.style import WIDTH, Theme, padded

SECTION = "全连接网络处理图像的三大问题: 参数爆炸"
CLAIM = Text(
    "A fully connected layer from 224×224×3 pixels to 1,000 units has 150 million parameters; 64 kernels of "
    "3×3 have 1,728.",
    "224×224×3图像 → 全连接层参数巨大（如150,528×1000 ≈ 1.5亿参数）；"
    "卷积层(3×3卷积核, 64个)：3×3×3×64 = 1,728参数",
)
QUESTION = Text(
    "Count the parameters, the memory and the multiply-adds of the lesson's two layers, and of whole "
    "networks of both kinds, at 32 and at 224 pixels.",
    "数一数课程中这两个层，以及两类完整网络在 32 和 224 像素输入下的参数量、内存和乘加次数。",
)
RULE = Text(
    "Does not hold unless the built layers have exactly 150,528,000 and 1,728 weights. Holds if the "
    "convolution saves at least half as large a factor in multiply-adds; otherwise with conditions: sharing "
    "saves weights, not work.",
    "若实际构建的层不是恰好有 150,528,000 和 1,728 个权重，则不成立。若卷积节省乘加次数的倍数"
    "至少达到节省权重倍数的一半，则成立；否则为有条件成立：共享节省的是权重，而不是计算。",
)
SIZES = (32, 224)


def two_hidden_layers(size: int) -> nn.Module:
    """Two hidden layers of 1 000 units on pictures of size × size."""
    layers = (nn.Linear(3 * size**2, 1000), nn.ReLU(), nn.Linear(1000, 1000), nn.ReLU(), nn.Linear(1000, 10))
    return nn.Sequential(nn.Flatten(), *layers)


def measure(bench: Workbench) -> Numbers:
    """Build and count."""
    with torch.device("meta"):
        layers = {
            "fully connected layer": count(
                nn.Sequential(nn.Flatten(), nn.Linear(3 * 224**2, 1000, bias=False)), 224
            ),
            "convolution 3×3, 64 kernels": count(nn.Conv2d(3, 64, 3, padding=1, bias=False), 224),
        }
        networks = {
            f"fully connected network, {size} px": count(two_hidden_layers(size), size) for size in SIZES
        }
        networks |= {f"ResNet-20, {size} px": count(create_model("resnet20"), size) for size in SIZES}
    return {"layers": layers, "networks": networks}


def count(model: nn.Module, size: int) -> dict[str, int]:
    """Parameters, their bytes in float32, and the multiply-adds of one picture, by torch's counter."""
    parameters = sum(p.numel() for p in model.parameters())
    return {
        "parameters": parameters,
        "bytes": 4 * parameters,
        "multiply_adds": multiply_adds(model.eval(), (3, size, size)),
    }


def judge(numbers: Numbers) -> Judgement:
    """Apply the rule."""
    dense, conv = numbers["layers"].values()
    fewer = dense["parameters"] / conv["parameters"]
    cheaper = dense["multiply_adds"] / conv["multiply_adds"]
    because = Text(
        "{dense:,} against {conv:,} weights, {fewer:,.0f} times fewer, but only {cheaper:.1f} times fewer "
        "multiply-adds: each of the convolution's weights is used at every pixel.",
        "权重数为 {dense:,} 对 {conv:,}，是后者的 {fewer:,.0f} 倍；但乘加次数只是 {cheaper:.1f} 倍："
        "卷积的每个权重要在每个像素上使用一次。",
    ).format(dense=dense["parameters"], conv=conv["parameters"], fewer=fewer, cheaper=cheaper)
    if (dense["parameters"], conv["parameters"]) != (150_528_000, 1_728):
        return Judgement("does not hold", because)
    return Judgement("holds" if cheaper >= fewer / 2 else "holds with conditions", because)


def tables(numbers: Numbers) -> list[Table]:
    """The layers, then the networks."""
    rows = {**numbers["layers"], **numbers["networks"]}
    return [
        Table(
            Text("one picture", "一张图片"),
            (
                Text("", ""),
                Text("parameters", "参数"),
                Text("memory", "内存"),
                Text("multiply-adds", "乘加次数"),
            ),
            tuple(
                (
                    named(name),
                    f"{row['parameters']:,}",
                    f"{row['bytes'] / 2**20:,.2f} MiB",
                    f"{row['multiply_adds'] / 1e6:,.0f} M",
                )
                for name, row in rows.items()
            ),
        )
    ]


def draw(numbers: Numbers, theme: Theme) -> Figure:
    """Parameters and multiply-adds beside each other, on one logarithmic axis."""
    rows: dict[str, dict[str, int]] = {**numbers["layers"], **numbers["networks"]}
    figure = Figure(figsize=(WIDTH, 3.8), layout=padded())
    axes = figure.subplots()
    places = np.arange(len(rows))
    for offset, key, colour in ((-0.19, "parameters", theme.test), (0.19, "multiply_adds", theme.train)):
        values = [row[key] for row in rows.values()]
        bars = axes.barh(places + offset, values, 0.36, color=colour, label=key.replace("_", "-"))
        axes.bar_label(bars, [short(value) for value in values], padding=3, fontsize=8.5)
    axes.set_yticks(places, list(rows))
    axes.invert_yaxis()
    logarithmic(axes.xaxis)
    axes.set_xlim(100, 3e10)
    axes.grid(visible=False)
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    return figure
