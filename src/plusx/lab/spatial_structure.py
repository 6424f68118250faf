"""Does it matter to a network which pixels are neighbours?

One permutation of all 1 024 pixels is drawn and applied to every picture, in training and in testing. Nothing
is lost: the same numbers are there, in another order, the same for all. A network that does not know what a
neighbour is can't tell the difference; a convolution can.
"""

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from plusx.data import Dataset
from plusx.lab.drawing import accuracy_bars, percent
from plusx.lab.experiment import Judgement, Numbers, Table, Text
from plusx.lab.names import named
from plusx.lab.networks import convolutional, fully_connected
from plusx.lab.workbench import Workbench
from plusx.report.style import WIDTH, Theme, padded

SECTION = "全连接网络处理图像的三大问题: 忽略空间信息"
CLAIM = Text(
    "A fully connected network treats pixels independently and loses their local correlation.",
    "忽略空间信息：像素被独立处理，失去局部相关性",
)
QUESTION = Text(
    "Train both kinds of network on CIFAR-10, and on CIFAR-10 with one fixed permutation of all pixels. "
    "Which of them notices?",
    "在 CIFAR-10 以及所有像素按同一固定排列打乱的 CIFAR-10 上分别训练两类网络，谁会受影响？",
)
RULE = Text(
    "Holds if the permutation moves the fully connected network's mean accuracy by less than 2 points and "
    "costs the convolutional one more than 10.",
    "若打乱像素使全连接网络的平均准确率变化小于 2 个百分点，而卷积网络下降超过 10 个百分点，则成立。",
)
SEEDS = 3
NETWORKS = {"fully connected": fully_connected, "convolutional": convolutional}


def shuffled(dataset: Dataset, seed: int = 0) -> Dataset:
    """The same pictures with their pixels in another order, one order for all."""
    _, height, width, channels = dataset.train_images.shape
    order = np.random.default_rng(seed).permutation(height * width)

    def permute(images: np.ndarray) -> np.ndarray:
        rows = images.reshape(len(images), height * width, channels)
        return np.ascontiguousarray(rows[:, order].reshape(images.shape))

    return replace(
        dataset, train_images=permute(dataset.train_images), test_images=permute(dataset.test_images)
    )


def measure(bench: Workbench) -> Numbers:
    """Train two networks on two versions of the pictures; a mirrored picture would undo no permutation."""
    versions = {"in order": bench.dataset, "shuffled": shuffled(bench.dataset)}
    return {
        name: {
            version: [
                bench.train(
                    f"{name} {version}", build, dataset=pictures, seed=seed, data__mirror="none"
                ).result["test_accuracy"]
                for seed in bench.seeds(SEEDS)
            ]
            for version, pictures in versions.items()
        }
        for name, build in NETWORKS.items()
    }


def judge(numbers: Numbers) -> Judgement:
    """Apply the rule."""
    fall = {name: 100 * (np.mean(by["in order"]) - np.mean(by["shuffled"])) for name, by in numbers.items()}
    because = Text(
        "Shuffling all pixels costs the fully connected network {dense:.1f} points of accuracy and the "
        "convolutional one {conv:.1f}.",
        "打乱全部像素后，全连接网络下降 {dense:.1f} 个百分点，卷积网络下降 {conv:.1f} 个百分点。",
    ).format(dense=fall["fully connected"], conv=fall["convolutional"])
    holds = abs(fall["fully connected"]) < 2 and fall["convolutional"] > 10
    return Judgement("holds" if holds else "does not hold", because)


def tables(numbers: Numbers) -> list[Table]:
    """Mean and spread of the test accuracies."""
    return [
        Table(
            Text(
                "test accuracy, last epoch, mean ± deviation; trained without mirroring, unlike in translation",
                "最后一轮测试准确率，平均值 ± 标准差；训练时没有镜像，与 translation 不同",
            ),
            (Text("network", "网络"), Text("in order", "原顺序"), Text("shuffled", "打乱")),
            tuple(
                (named(name), *(percent(by[v]) for v in ("in order", "shuffled")))
                for name, by in numbers.items()
            ),
        )
    ]


def draw(numbers: Numbers, theme: Theme) -> Figure:
    """A bar for each network and version, a dot for each seed."""
    figure = Figure(figsize=(WIDTH, 3.2), layout=padded())
    axes = figure.subplots()
    accuracy_bars(axes, numbers, theme)
    figure.legend(title="pixels", loc="outside right upper", frameon=False)
    return figure
