"""Which pooling, and what does global pooling save?

The lesson's example through every engine; one small network that shrinks its maps by max pooling, average
pooling, strided convolutions, or not at all; and the same layers under a fully connected head or under global
pooling, trained longer and without mirroring, so that they can over-fit.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from matplotlib.figure import Figure

from plusx import nn, ops
from plusx.lab.drawing import accuracy_bars, percent, short
from plusx.lab.experiment import Judgement, Numbers, Table, Text
from plusx.lab.names import listed, named
from plusx.lab.networks import features, unit
from plusx.lab.workbench import Workbench
from plusx.models import multiply_adds
from plusx.report.style import WIDTH, Theme, padded

SECTION = "池化层: 示例，池化的作用，池化类型"
CLAIM = Text(
    "Max pooling is the most used one and keeps the strongest features; global pooling, in place of the fully "
    "connected layer, saves parameters.",
    "最大池化：最常用，保留最显著特征；全局池化：常用于CNN最后一层，代替全连接层，减少参数",
)
QUESTION = Text(
    "Check the lesson's example; train one network with three ways of shrinking its maps and with none, and "
    "with two heads.",
    "验证课程示例；分别用三种方式缩小特征图、不缩小特征图，以及用两种输出头，训练同一网络。",
)
RULE = Text(
    "Holds if every engine gives [[9, 8], [6, 7]], max pooling is the most accurate of the ways that shrink, "
    "and the global head has a tenth of the fully connected head's parameters, a smaller gap between training "
    "and test accuracy, and at most 1 point less test accuracy. With conditions if the example is right and "
    "only some of the rest; does not hold if the example is wrong or none of the rest is true.",
    "若各引擎都得到 [[9, 8], [6, 7]]，最大池化在会缩小特征图的方式中最准确，且全局池化输出头的参数不到全连接输出头的十分之一、"
    "训练与测试准确率之差更小、测试准确率至多低 1 个百分点，则成立；若示例正确但其余只有部分成立，则为有条件成立；"
    "若示例错误或其余都不成立，则不成立。",
)
SEEDS = 2
EXAMPLE = [[1.0, 4, 2, 8], [3, 9, 5, 7], [2, 6, 4, 1], [5, 3, 7, 2]]
HEAD_EPOCHS = 12


def shrinking(way: str) -> nn.Sequential:
    """Three convolutions of 8, 16 and 32 channels, the maps halved after each, or kept; global pooling."""
    stride = 2 if way == "strided convolution" else 1
    after: dict[str, Callable[[], nn.Module]] = {
        "max": lambda: nn.MaxPool2d(2),
        "average": lambda: nn.AvgPool2d(2),
    }
    layers: list[nn.Module] = []
    for channels in ((3, 8), (8, 16), (16, 32)):
        layers += [unit(*channels, stride=stride), *([after[way]()] if way in after else [])]
    return nn.Sequential(*layers, nn.GlobalAvgPool2d(), nn.Flatten(), nn.Linear(32, 10))


WAYS = ("max", "average", "strided convolution", "none")


HEADS: dict[str, Callable[[], list[nn.Module]]] = {
    "global average": lambda: [nn.GlobalAvgPool2d(), nn.Flatten(), nn.Linear(64, 10)],
    "fully connected": lambda: [nn.Flatten(), nn.Linear(64 * 4 * 4, 256), nn.ReLU(), nn.Linear(256, 10)],
}


def under(head: Callable[[], list[nn.Module]]) -> nn.Sequential:
    """The same features under one of the heads."""
    return nn.Sequential(*features(), *head())


def measure(bench: Workbench) -> Numbers:
    """The example, the four ways, the two heads."""
    grid = torch.tensor(EXAMPLE)[None]
    numbers: Numbers = {
        "example": {engine: ops.max_pool2d(grid, 2, engine=engine)[0].tolist() for engine in ops.ENGINES},
        "ways": {},
        "heads": {},
    }
    for way in WAYS:
        runs = [
            bench.train(f"pooling {way}", partial(shrinking, way), seed=seed).result
            for seed in bench.seeds(SEEDS)
        ]
        numbers["ways"][way] = {
            "multiply_adds": multiply_adds(shrinking(way).eval()),
            "seconds": float(np.mean([run["seconds"]["train"] for run in runs])),
            "accuracy": [run["test_accuracy"] for run in runs],
        }
    images, labels = bench.dataset.train_images[:10_000], bench.dataset.train_labels[:10_000]
    for name, head in HEADS.items():
        trained = [
            bench.train(
                f"head {name}",
                partial(under, head),
                seed=seed,
                training__epochs=HEAD_EPOCHS,
                data__mirror="none",
            )
            for seed in bench.seeds(SEEDS)
        ]
        numbers["heads"][name] = {
            "epochs": len(trained[0].epochs),
            "parameters": sum(p.numel() for layer in head() for p in layer.parameters()),
            "train": [run.accuracy(images, labels) for run in trained],
            "test": [run.result["test_accuracy"] for run in trained],
        }
    return numbers


def judge(numbers: Numbers) -> Judgement:
    """Apply the rule."""
    example = all(answer == [[9, 8], [6, 7]] for answer in numbers["example"].values())
    ways = {way: 100 * float(np.mean(row["accuracy"])) for way, row in numbers["ways"].items()}
    shrink = {way: value for way, value in ways.items() if way != "none"}
    pooled, dense = (numbers["heads"][name] for name in HEADS)
    gaps = [100 * float(np.mean(head["train"]) - np.mean(head["test"])) for head in (pooled, dense)]
    tests = [100 * float(np.mean(head["test"])) for head in (pooled, dense)]
    best = shrink["max"] == max(shrink.values())
    head = {  # what the rule asks of the global head: how it fails, and whether it does not
        Text("the global head has more than a tenth of the parameters", "全局池化输出头的参数超过十分之一"):
            10 * pooled["parameters"] <= dense["parameters"],
        Text("the global head has the larger gap", "全局池化输出头的训练与测试准确率之差更大"): gaps[0] < gaps[1],
        Text(f"the global head loses {tests[1] - tests[0]:.1f} points, where 1 is allowed",
             f"全局池化输出头的测试准确率低 {tests[1] - tests[0]:.1f} 个百分点，规则只允许 1 个"):
            tests[0] > tests[1] - 1,
    }  # fmt: skip
    parts = (best, all(head.values()))
    failed = [how for how, met in head.items() if not met]
    if not best:
        failed.insert(0, Text("max pooling is not the most accurate way", "最大池化不是最准确的方式"))
    unmet = Text("; ".join(how.en for how in failed), "；".join(how.zh for how in failed))
    because = Text(
        "Accuracy with {ways}. Global pooling's head has {few:,} parameters against {many:,}; it reaches "
        "{t0:.1f} % ({g0:.1f} points below its training accuracy), the fully connected one {t1:.1f} % "
        "({g1:.1f} below).{unmet}",
        "准确率：{ways}。全局池化输出头有 {few:,} 个参数，全连接输出头有 {many:,} 个；前者测试准确率 {t0:.1f} %"
        "（比训练准确率低 {g0:.1f} 个百分点），后者 {t1:.1f} %（低 {g1:.1f}）。{unmet}",
    ).format(
        ways=listed({way: f"{value:.1f} %" for way, value in ways.items()}, Text(", ", "、")),
        unmet=Text(" Not met: {how}.", "未满足：{how}。").format(how=unmet) if failed else "",
        few=pooled["parameters"],
        many=dense["parameters"],
        **{"t0": tests[0], "t1": tests[1], "g0": gaps[0], "g1": gaps[1]},
    )
    if not example or not any(parts):
        return Judgement("does not hold", because)
    return Judgement("holds" if all(parts) else "holds with conditions", because)


def tables(numbers: Numbers) -> list[Table]:
    """The ways, then the heads."""
    accuracy = Text("test accuracy", "测试准确率")
    epochs = numbers["heads"]["global average"].get("epochs", HEAD_EPOCHS)  # what was published doesn't say
    return [
        Table(
            Text("three ways to shrink the maps, and none", "三种缩小特征图的方式，以及不缩小"),
            (Text("way", "方式"), Text("multiply-adds", "乘加次数"), Text("training", "训练"), accuracy),
            tuple(
                (named(way), short(row["multiply_adds"]), f"{row['seconds']:.0f} s", percent(row["accuracy"]))
                for way, row in numbers["ways"].items()
            ),
        ),
        Table(
            Text(f"two heads, {epochs} epochs", f"两种输出头，{epochs} 轮"),
            (Text("head", "输出头"), Text("parameters", "参数"), Text("training", "训练准确率"), accuracy),
            tuple(
                (named(name), f"{head['parameters']:,}", percent(head["train"]), percent(head["test"]))
                for name, head in numbers["heads"].items()
            ),
        ),
    ]


def draw(numbers: Numbers, theme: Theme) -> Figure:
    """The ways; the heads in training and test."""
    figure = Figure(figsize=(WIDTH, 3.2), layout=padded())
    left, right = figure.subplots(1, 2, width_ratios=(4, 3))
    ways = {way.replace(" ", "\n"): {"": row["accuracy"]} for way, row in numbers["ways"].items()}
    accuracy_bars(left, ways, theme)
    heads = {
        name.replace(" ", "\n"): {"training": head["train"], "test": head["test"]}
        for name, head in numbers["heads"].items()
    }
    accuracy_bars(right, heads, theme)
    right.set_ylabel("accuracy in %")
    right.set_ylim(0, 118)
    right.legend(frameon=False, ncols=2, loc="upper center", fontsize=8.5)
    return figure
