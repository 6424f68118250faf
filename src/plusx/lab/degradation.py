"""Are deeper plain networks worse, in training too, and do shortcuts cure it?

Plain and residual networks of 20 and 56 layers, trained alike: same recipe, same epochs, same seeds. The
training error is measured twice: epoch by epoch on the pictures as they were shown, shifted and mirrored, as in
the paper's figure 6, and at the end on training pictures as they are.
"""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plusx.lab.drawing import percent
from plusx.lab.experiment import Judgement, Numbers, Table, Text
from plusx.lab.workbench import Workbench
from plusx.report.style import WIDTH, Theme, padded

SECTION = "深度网络的问题: 实验现象"
CLAIM = Text(
    "A 56-layer network has a larger training error and a larger test error than a 20-layer one; so it is not "
    "over-fitting; deeper networks are harder to optimise.",
    "56层网络比20层网络训练误差和测试误差都更大；不是过拟合（训练误差也更高）；问题：网络变深后，优化变得困难",
)
QUESTION = Text(
    "Train plain and residual networks of 20 and 56 layers alike and compare their errors.",
    "以同样的方式训练 20 层和 56 层的传统网络与残差网络，比较误差。",
)
RULE = Text(
    "Holds if for every seed plain-56 has the larger error of the two plain networks, in training and in test, "
    "and the mean test error of ResNet-56 is below that of ResNet-20. With conditions if only the first part is "
    "true. Otherwise it does not hold.",
    "若对每个种子，plain-56 的训练误差和测试误差都大于 plain-20，且 ResNet-56 的平均测试误差低于 ResNet-20，则成立；"
    "若只有前一部分为真，则为有条件成立；否则不成立。",
)
NETWORKS = ("plain20", "plain56", "resnet20", "resnet56")
EPOCHS = 12
SEEDS = 2


def measure(bench: Workbench) -> Numbers:
    """Train all four, each with every seed."""
    images, labels = bench.dataset.train_images[:10_000], bench.dataset.train_labels[:10_000]
    numbers: Numbers = {}
    for name in NETWORKS:
        runs = [
            bench.train(name, recipe=name, seed=seed, training__epochs=EPOCHS) for seed in bench.seeds(SEEDS)
        ]
        numbers[name] = {
            "train_error": [[1 - epoch["train_accuracy"] for epoch in run.epochs] for run in runs],
            "test_error": [[1 - epoch["test_accuracy"] for epoch in run.epochs] for run in runs],
            "final_train_error": [1 - run.accuracy(images, labels) for run in runs],
            "final_test_error": [1 - run.result["test_accuracy"] for run in runs],
        }
    return numbers


def still_falling(errors: list[list[float]]) -> Text:
    """A sentence if the mean over seeds fell by more than a point in each of the last two epochs; else nothing."""
    last = [100 * float(e) for e in np.mean(errors, axis=0)[-3:]]
    if len(last) < 3 or last[0] - last[1] <= 1 or last[1] - last[2] <= 1:
        return Text("", "")
    return Text(
        " plain-56 was still falling (test {} in the last epochs): it learns more slowly; where it would end, "
        "as in the paper, was not measured.".format(", ".join(f"{e:.1f}" for e in last) + " %"),
        "plain-56 的误差还在下降（最后几轮测试误差 {}）：可见它学得更慢；至于论文中那样的最终误差，这里没有测到。".format(
            "、".join(f"{e:.1f}" for e in last) + " %"
        ),
    )


def judge(numbers: Numbers) -> Judgement:
    """Apply the rule."""
    shallow, deep, residual, residual_deep = (numbers[name] for name in NETWORKS)
    worse = all(
        d > s
        for key in ("final_train_error", "final_test_error")
        for d, s in zip(deep[key], shallow[key], strict=True)
    )
    cured = np.mean(residual_deep["final_test_error"]) < np.mean(residual["final_test_error"])
    means = {
        f"{short}_{name}": 100 * float(np.mean(numbers[name][f"final_{key}_error"]))
        for name in NETWORKS
        for short, key in (("t", "test"), ("r", "train"))
    }
    because = Text(
        "Training / test error: plain-20 {r_plain20:.1f} / {t_plain20:.1f} %, plain-56 {r_plain56:.1f} / "
        "{t_plain56:.1f} %; ResNet-20 {r_resnet20:.1f} / {t_resnet20:.1f} %, ResNet-56 {r_resnet56:.1f} / "
        "{t_resnet56:.1f} %.{falling}",
        "训练 / 测试误差：plain-20 {r_plain20:.1f} / {t_plain20:.1f} %，plain-56 {r_plain56:.1f} / {t_plain56:.1f} %；"
        "ResNet-20 {r_resnet20:.1f} / {t_resnet20:.1f} %，ResNet-56 {r_resnet56:.1f} / {t_resnet56:.1f} %。{falling}",
    ).format(**means, falling=still_falling(deep["test_error"]))
    if not worse:
        return Judgement("does not hold", because)
    return Judgement("holds" if cured else "holds with conditions", because)


def tables(numbers: Numbers) -> list[Table]:
    """Final errors."""
    seeds = len(numbers["plain20"]["final_test_error"])
    return [
        Table(
            Text(
                f"error at the end, {seeds} seeds; training: of the final network, on pictures as they are (the "
                "figure's: of the network as it learns, on shifted and mirrored ones)",
                f"最终误差，{seeds} 个种子；训练误差：最终网络在原始图片上测得（图中的训练误差：学习过程中的网络在平移、镜像后的图片上测得）",
            ),
            (Text("network", "网络"), Text("training", "训练误差"), Text("test", "测试误差")),
            tuple(
                (name, percent(row["final_train_error"]), percent(row["final_test_error"]))
                for name, row in numbers.items()
            ),
        )
    ]


def draw(numbers: Numbers, theme: Theme) -> Figure:
    """As the paper's figure 6: training error dashed, test error bold, 20 layers and 56."""
    figure = Figure(figsize=(WIDTH, 3.6), layout=padded())
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind in zip(panels, ("plain", "resnet"), strict=True):
        for depth, colour in ((20, theme.train), (56, theme.test)):
            row = numbers[f"{kind}{depth}"]
            for key, style, width in (("train", "--", 1.2), ("test", "-", 2.2)):
                for seed, errors in enumerate(row[f"{key}_error"]):
                    label = f"{depth} layers, {key}" if seed == 0 else None
                    epochs = range(1, len(errors) + 1)
                    axes.plot(
                        epochs,
                        [100 * e for e in errors],
                        style,
                        color=colour,
                        linewidth=width,
                        alpha=1 if seed == 0 else 0.5,
                        label=label,
                    )
        axes.set_title({"plain": "plain", "resnet": "residual"}[kind], loc="left", color=theme.muted)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].set_ylabel("error in %")
    panels[0].set_ylim(0, None)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=8.5)
    return figure
