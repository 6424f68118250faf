"""What happens to a network's answer when the picture moves by a few pixels?

Four networks learn from pictures that are mirrored at random but never shifted, and are tested on shifted ones:
one fully connected, one of strided convolutions, one with max pooling, and one with max pooling and global
average pooling. Two measurements behind that: whether a convolution's output moves exactly as its input does (it is equivariant),
and how much of a one-pixel shift is left after each kind of pooling (how far it is invariant).
"""

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from plusx import nn, ops
from plusx.lab.drawing import percent, seed_lines
from plusx.lab.experiment import Judgement, Numbers, Table, Text
from plusx.lab.names import listed, named
from plusx.lab.networks import convolutional, fully_connected, unit
from plusx.lab.workbench import Workbench
from plusx.report.style import WIDTH, Theme, padded

SECTION = "全连接网络处理图像的三大问题: 平移不变性缺失；池化的作用: 平移不变性"
CLAIM = Text(
    "Without convolution the same object has to be learned anew at every position; convolution finds the same "
    "feature everywhere, and with pooling a cat is a cat whether it is on the left or on the right.",
    "平移不变性缺失：同一物体在不同位置需要重新学习；卷积操作：相同特征在不同位置被相同卷积核检测；"
    "池化：无论猫在画面左还是右，都知道是猫",
)
QUESTION = Text(
    "Test four networks on pictures shifted by 0 to 8 pixels in four directions, the border repeated.",
    "用平移 0 到 8 个像素（四个方向，边缘重复填充）的测试图片检验四个网络。",
)
RULE = Text(
    "Holds if a shift of 4 pixels costs the fully connected network more than 5 points and the best of the "
    "others less than 1. With conditions if it costs every other network less than the fully connected one. "
    "Otherwise it does not hold.",
    "若平移 4 个像素使全连接网络下降超过 5 个百分点，而其余网络中最好的下降不到 1 个百分点，则成立；"
    "若其余每个网络都比全连接网络下降得少，则为有条件成立；否则不成立。",
)
SEEDS = 2
SHIFTS = tuple(range(9))
AT = 4


def strided() -> nn.Sequential:
    """Convolutions with stride 2 and a linear layer that knows positions; no pooling."""
    layers = (unit(3, 16, stride=2), unit(16, 32, stride=2), unit(32, 64, stride=2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 4 * 4, 10))


def pooled() -> nn.Sequential:
    """Max pooling instead of strides; the same linear layer."""
    # Not `features()`: the head that is left out drew numbers too, before the layer that takes its place, and the
    # published figures began with those weights.
    *layers, _, _, _ = convolutional()
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 4 * 4, 10))


NETWORKS = {
    "fully connected": fully_connected,
    "CNN, strides": strided,
    "CNN, max pooling": pooled,
    "CNN, max and global pooling": convolutional,
}


def shifted(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Pictures (N, H, W, 3) moved by so many pixels, what is uncovered filled with the nearest pixel.

    >>> shifted(np.arange(3).reshape(1, 1, 3, 1), 0, 1).ravel().tolist()
    [0, 0, 1]
    """
    height, width = images.shape[1:3]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return np.ascontiguousarray(images[:, rows][:, :, columns])


def measure(bench: Workbench) -> Numbers:
    """Train, shift, test; then look at a convolution and at pooling alone."""
    images, labels = bench.dataset.test_images, bench.dataset.test_labels
    accuracy: dict[str, list[list[float]]] = {name: [] for name in NETWORKS}
    for name, build in NETWORKS.items():
        for seed in bench.seeds(SEEDS):
            trained = bench.train(name, build, seed=seed)
            accuracy[name].append(
                [
                    float(
                        np.mean(
                            [
                                trained.accuracy(shifted(images, down, right), labels)
                                for down, right in {(s, 0), (-s, 0), (0, s), (0, -s)}
                            ]
                        )
                    )
                    for s in SHIFTS
                ]
            )
    pictures = torch.from_numpy(images[:100].copy()).permute(0, 3, 1, 2).double() / 255 - 0.5
    moved = torch.from_numpy(shifted(images[:100], 0, 1)).permute(0, 3, 1, 2).double() / 255 - 0.5
    kernels = torch.randn(16, 3, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return {
        "accuracy": accuracy,
        "equivariance": equivariance(pictures, moved, kernels),
        "left_of_one_pixel": change_by_pooling(pictures, moved, kernels),
    }


def equivariance(pictures: Tensor, moved: Tensor, kernels: Tensor) -> dict[str, float]:
    """Largest |conv(shift x) − shift(conv x)| inside, at stride 1, and at stride 2 against either neighbour."""
    here, there = (ops.conv2d(x, kernels)[..., 2:-2] for x in (pictures, moved))
    stride_1 = (there[..., 1:] - here[..., :-1]).abs().max().item()
    here, there = (ops.conv2d(x, kernels, stride=2)[..., 2:-2] for x in (pictures, moved))
    stride_2 = min((there - here).abs().max().item(), (there[..., 1:] - here[..., :-1]).abs().max().item())
    return {"stride 1": stride_1, "stride 2": stride_2}


def change_by_pooling(pictures: Tensor, moved: Tensor, kernels: Tensor) -> dict[str, float]:
    """‖pool(f(shift x)) − pool(f(x))‖ / ‖pool(f(x))‖ for features f = relu(conv), by kind of pooling."""
    here, there = (ops.relu(ops.conv2d(x, kernels, padding=1)) for x in (pictures, moved))
    kinds = {
        "no pooling": lambda f: f,
        "max 2×2": lambda f: ops.max_pool2d(f, 2),
        "average 2×2": lambda f: ops.avg_pool2d(f, 2),
        "max 8×8": lambda f: ops.max_pool2d(f, 8),
        "average 8×8": lambda f: ops.avg_pool2d(f, 8),
        "global max": ops.global_max_pool2d,
        "global average": ops.global_avg_pool2d,
    }
    return {
        name: ((pool(there) - pool(here)).norm() / pool(here).norm()).item() for name, pool in kinds.items()
    }


def judge(numbers: Numbers) -> Judgement:
    """Apply the rule."""
    means = {name: np.mean(seeds, axis=0) for name, seeds in numbers["accuracy"].items()}
    falls = {name: 100 * float(by[0] - by[AT]) for name, by in means.items()}
    dense = falls.pop("fully connected")
    best = min(falls, key=lambda name: falls[name])
    off = numbers["equivariance"]["stride 1"]
    moves = Text("A convolution moves exactly with its input", "卷积的输出随输入精确平移")
    if off:
        moves = Text(
            "A convolution moves with its input, {off:.1g} off", "卷积的输出随输入平移，相差 {off:.1g}"
        )
    because = Text(
        "{at} pixels cost the fully connected network {dense:.1f} points; {others}. "
        f"{moves.en}, but the layers after it know positions, and what enters at the border is new.",
        "平移 {at} 个像素：全连接网络下降 {dense:.1f} 个百分点；{others}。"
        f"{moves.zh}，但其后的层仍然认得位置，而且边缘会进入新的内容。",
    ).format(
        at=AT,
        dense=dense,
        off=off,
        others=listed({name: f"{fall:.1f}" for name, fall in falls.items()}, Text(", ", "、")),
    )
    if dense > 5 and falls[best] < 1:
        return Judgement("holds", because)
    return Judgement("holds with conditions" if max(falls.values()) < dense else "does not hold", because)


def tables(numbers: Numbers) -> list[Table]:
    """Accuracy by shift, and what is left of one pixel."""
    chosen = (0, 1, 2, 4, 8)
    return [
        Table(
            Text("test accuracy by shift in pixels", "平移像素数与测试准确率"),
            (Text("network", "网络"), *(Text(str(s), str(s)) for s in chosen)),
            tuple(
                (named(name), *(percent([by[s] for by in seeds]) for s in chosen))
                for name, seeds in numbers["accuracy"].items()
            ),
        ),
        Table(
            Text(
                "change of the features when the picture moves by 1 pixel", "图片平移 1 像素时特征的相对变化"
            ),
            (Text("pooling", "池化"), Text("change", "变化")),
            tuple(
                (named(name), f"{100 * value:.1f} %") for name, value in numbers["left_of_one_pixel"].items()
            ),
        ),
        Table(
            Text("largest |conv(shift x) − shift(conv x)|", "|卷积(平移 x) − 平移(卷积 x)| 的最大值"),
            (Text("convolution", "卷积"), Text("difference", "差")),
            tuple((named(name), f"{value:.2g}") for name, value in numbers["equivariance"].items()),
        ),
    ]


def draw(numbers: Numbers, theme: Theme) -> Figure:
    """Accuracy against shift."""
    figure = Figure(figsize=(WIDTH, 3.6), layout=padded())
    axes = figure.subplots()
    series = {name: [[100 * a for a in by] for by in seeds] for name, seeds in numbers["accuracy"].items()}
    seed_lines(axes, SHIFTS, series, theme)
    axes.set_xlabel("shift in pixels")
    axes.set_ylabel("test accuracy in %")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure
