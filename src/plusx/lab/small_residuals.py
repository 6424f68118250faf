"""Is what a residual block adds small beside what it passes on?

For every block: the size of F(x) beside that of x, before training and after, on real test pictures; the
paper's figure 7 asked the same of the layers' responses. A plain block has no x to add, but one can still ask
by how much its output differs from its input: that is the residual H(x) − x that it had to learn in full.
"""

from typing import cast

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from plusx import nn
from plusx.inference import normalise
from plusx.lab.experiment import Judgement, Numbers, Table, Text
from plusx.lab.workbench import Workbench
from plusx.models import BasicBlock, Card, create_model
from plusx.report.style import WIDTH, Theme, padded

SECTION = "残差学习: 核心思想"
CLAIM = Text(
    "The network has to learn only the difference between input and output (the residual), not the whole mapping.",
    '核心思想：网络只需学习输入与输出的"差异"（残差），而不是完整的映射',
)
QUESTION = Text(
    "Measure |F(x)| / |x| in every block of trained networks of 20 and 56 layers.",
    "测量训练好的 20 层与 56 层网络中每个块的 |F(x)| / |x|。",
)
RULE = Text(
    "Over the blocks whose shortcut is the identity: holds if after training the median of |F(x)| / |x| in "
    "ResNet-56 is below 0.5 and below ResNet-20's. With conditions if only one of the two. Otherwise it does "
    "not hold.",
    "只看捷径为恒等映射的块：若训练后 ResNet-56 的 |F(x)| / |x| 中位数低于 0.5，且低于 ResNet-20，则成立；"
    "若只满足其一，则为有条件成立；否则不成立。",
)
EPOCHS = 12
DEPTHS = (20, 56)
PICTURES = 500


def sizes(model: nn.Module, x: Tensor) -> list[dict[str, float | bool]]:
    """For each block in order: |F(x)| / |x| (|H(x) − x| / |x| in a plain one), and whether the shortcut is the identity."""
    rows: list[dict[str, float | bool]] = []

    def look(block: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        made, (given,) = cast(BasicBlock, block), inputs
        same_shape = given.shape == output.shape
        if made.residual:
            added, passed = made.transform(given), made.shortcut(given)
        elif same_shape:
            added, passed = output - given, given
        else:
            return
        rows.append({"ratio": float(added.norm() / passed.norm()), "identity": same_shape})

    hooks = [m.register_forward_hook(look) for m in model.modules() if isinstance(m, BasicBlock)]
    with torch.no_grad():
        model.eval()(x)
    for hook in hooks:
        hook.remove()
    return rows


def untrained(name: str, x: Tensor) -> nn.Module:
    """The named network as it begins, normalising with the statistics of x.

    At the usual momentum one pass would leave nine tenths of the variances of 1 that a norm begins with, and
    in evaluation the norms would hardly normalise.
    """
    torch.manual_seed(0)
    model = create_model(name).train()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        model(x)
    return model.eval()


def measure(bench: Workbench) -> Numbers:
    """Look into each network before and after training."""
    numbers: Numbers = {}
    for kind in ("resnet", "plain"):
        for depth in DEPTHS:
            name = f"{kind}{depth}"
            trained = bench.train(name, recipe=name, seed=0, training__epochs=EPOCHS).model
            card = cast(Card, trained.card)
            images = torch.from_numpy(bench.dataset.test_images[:PICTURES])
            x = normalise(images, torch.tensor(card.mean), torch.tensor(card.std))
            numbers[name] = {"before": sizes(untrained(name, x), x), "after": sizes(trained, x)}
    return numbers


def median(rows: list[dict[str, float]]) -> float:
    """Over the blocks whose shortcut is the identity."""
    return float(np.median([row["ratio"] for row in rows if row["identity"]]))


def judge(numbers: Numbers) -> Judgement:
    """Apply the rule."""
    shallow, deep = (median(numbers[f"resnet{depth}"]["after"]) for depth in DEPTHS)
    shallow_before, deep_before = (median(numbers[f"resnet{depth}"]["before"]) for depth in DEPTHS)
    because = Text(
        "Median |F(x)| / |x| after training: {shallow:.2f} in ResNet-20, {deep:.2f} in ResNet-56; before: "
        "{shallow_before:.2f} and {deep_before:.2f}. {learned}A block of the plain 56-layer network moves its "
        "input by {plain:.2f} of its size.",
        "训练后 |F(x)| / |x| 的中位数：ResNet-20 为 {shallow:.2f}，ResNet-56 为 {deep:.2f}；训练前为 {shallow_before:.2f} 和 "
        "{deep_before:.2f}。{learned}56 层传统网络的块使输入改变了自身大小的 {plain:.2f} 倍。",
    )
    moved = max(abs(shallow - shallow_before), abs(deep - deep_before))
    learned = Text("", "")
    if moved < 0.1 and deep_before < shallow_before:
        learned = Text(
            "So training hardly changes the median: it is smaller in the deeper network from the start, since "
            "every block adds to x, and x grows from block to block. ",
            "可见训练几乎没有改变这个中位数：每个块都往 x 上加，x 逐块变大，所以网络越深，比值一开始就越小。",
        )
    because = because.format(
        **{"shallow": shallow, "deep": deep, "shallow_before": shallow_before, "deep_before": deep_before},
        **{"plain": median(numbers["plain56"]["after"]), "learned": learned},
    )
    parts = (deep < 0.5, deep < shallow)
    if not any(parts):
        return Judgement("does not hold", because)
    return Judgement("holds" if all(parts) else "holds with conditions", because)


def tables(numbers: Numbers) -> list[Table]:
    """Medians, smallest and largest of each network."""
    rows = []
    for name, by in numbers.items():
        after = [row["ratio"] for row in by["after"] if row["identity"]]
        values = (median(by["before"]), float(np.median(after)), min(after), max(after))
        rows.append((name, *(f"{value:.2f}" for value in values)))
    columns = (
        *(Text("network", "网络"), Text("before", "训练前"), Text("after", "训练后")),
        *(Text("smallest", "最小"), Text("largest", "最大")),
    )
    title = Text(
        "|F(x)| / |x|, plain: |H(x) − x| / |x|; median", "|F(x)| / |x|，传统网络为 |H(x) − x| / |x|；中位数"
    )
    return [Table(title, columns, tuple(rows))]


def draw(numbers: Numbers, theme: Theme) -> Figure:
    """The ratio block by block, before (dashed) and after."""
    figure = Figure(figsize=(WIDTH, 3.4), layout=padded())
    axes = figure.subplots()
    for depth, colour in zip(DEPTHS, (theme.train, theme.test), strict=True):
        for moment, style in (("before", "--"), ("after", "-")):
            rows = numbers[f"resnet{depth}"][moment]
            places = np.linspace(0, 1, len(rows))
            label = f"ResNet-{depth}, {moment} training"
            axes.plot(places, [row["ratio"] for row in rows], style, color=colour, label=label, marker=".")
    axes.axhline(1, color=theme.muted, linewidth=1)
    axes.set_xlabel("block, from the first to the last")
    axes.set_xticks([])
    axes.set_ylabel("|F(x)| / |x|")
    axes.set_ylim(0, None)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure
