"""Do the ResNets have as many layers as their names say, and what does depth cost and bring?

Layers, blocks, parameters and multiply-adds are counted from the built networks. The accuracies are public
figures: top-1 on ImageNet of torchvision's first weights (IMAGENET1K_V1), which were trained alike.
"""

from matplotlib.figure import Figure

from plusx import nn
from plusx.lab.drawing import short
from plusx.lab.experiment import Judgement, Numbers, Table, Text
from plusx.lab.workbench import Workbench
from plusx.models import Bottleneck, create_model, summarise
from plusx.report.style import WIDTH, Theme, padded

SECTION = "ResNet变体"
CLAIM = Text(
    "ResNet-34, 50, 101 and 152 have 34, 50, 101 and 152 layers.",
    "ResNet变体：ResNet-34 34层，ResNet-50 50层，ResNet-101 101层，ResNet-152 152层",
)
QUESTION = Text(
    "Count the layers of the built networks, and set their cost beside their published accuracy.",
    "数一数实际构建的网络有多少层，并把代价与公开的准确率放在一起比较。",
)
RULE = Text(
    "Holds if the convolutions and linear layers on the main path number what each name says, shortcuts not "
    "counted; otherwise it does not hold.",
    "若主路径上的卷积层与全连接层之和（不计捷径上的层）与名字一致，则成立；否则不成立。",
)
DEPTHS = (18, 34, 50, 101, 152)
PUBLISHED = {18: 69.758, 34: 73.314, 50: 76.130, 101: 77.374, 152: 78.312}
"""Top-1 accuracy in %, torchvision's documentation, "Models and pre-trained weights", IMAGENET1K_V1."""


def measure(bench: Workbench) -> Numbers:
    """Build each network and count."""
    numbers: Numbers = {}
    for depth in DEPTHS:
        summary = summarise(f"resnet{depth}")
        model = create_model(f"resnet{depth}")
        stages = [getattr(model, f"layer{k}") for k in (1, 2, 3, 4)]
        convolutions = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d)]
        numbers[str(depth)] = {
            "layers": summary.layers,
            "on_shortcuts": sum("downsample" in name for name in convolutions),
            "block": "Bottleneck" if isinstance(stages[0][0], Bottleneck) else "BasicBlock",
            "blocks": [len(stage) for stage in stages],
            "parameters": summary.parameters,
            "multiply_adds": summary.multiply_adds,
            "receptive_field": summary.receptive_field,
            "published_accuracy": PUBLISHED[depth] / 100,
        }
    return numbers


def judge(numbers: Numbers) -> Judgement:
    """Apply the rule."""
    right = all(row["layers"] == int(depth) for depth, row in numbers.items())
    cost = {depth: row["multiply_adds"] for depth, row in numbers.items()}
    on_shortcuts = [row["on_shortcuts"] for row in numbers.values()]
    because = Text(
        "Counted: {layers}; the {few} or {many} projections on shortcuts are not in the names. Depth is not cost: "
        "ResNet-50 takes {r50:.2f} times the multiply-adds of ResNet-34; and each step brings less: "
        "{g1:.1f} points from 34 to 50, {g2:.1f} from 101 to 152.",
        "实际层数：{layers}；捷径上的 {few} 或 {many} 个投影层不计入名字。深度不等于代价：ResNet-50 的乘加次数是 ResNet-34 的 {r50:.2f} 倍；"
        "收益递减：34→50 提高 {g1:.1f} 个百分点，101→152 只提高 {g2:.1f}。",
    ).format(
        layers=", ".join(str(row["layers"]) for row in numbers.values()),
        few=min(on_shortcuts),
        many=max(on_shortcuts),
        r50=cost["50"] / cost["34"],
        g1=PUBLISHED[50] - PUBLISHED[34],
        g2=PUBLISHED[152] - PUBLISHED[101],
    )
    return Judgement("holds" if right else "does not hold", because)


def tables(numbers: Numbers) -> list[Table]:
    """A row for each network."""
    columns = (
        *(Text("ResNet", "ResNet"), Text("layers", "层数"), Text("block", "块"), Text("a stage", "各阶段")),
        *(Text("parameters", "参数"), Text("mult-adds", "乘加"), Text("top-1", "top-1")),
    )
    rows = tuple(
        (
            *(depth, str(row["layers"]), row["block"], "-".join(map(str, row["blocks"]))),
            *(short(row["parameters"]), short(row["multiply_adds"])),
            f"{100 * row['published_accuracy']:.2f} %",
        )
        for depth, row in numbers.items()
    )
    title = Text("counted; accuracy on ImageNet as published", "层数等由网络数出；ImageNet 准确率为公开数据")
    return [Table(title, columns, rows)]


def draw(numbers: Numbers, theme: Theme) -> Figure:
    """Published accuracy against multiply-adds, the area of a dot for the parameters."""
    figure = Figure(figsize=(WIDTH, 3.4), layout=padded())
    axes = figure.subplots()
    work = [row["multiply_adds"] / 1e9 for row in numbers.values()]
    accuracy = [100 * row["published_accuracy"] for row in numbers.values()]
    area = [row["parameters"] / 1.5e5 for row in numbers.values()]
    axes.plot(work, accuracy, color=theme.grid, zorder=1)
    axes.scatter(work, accuracy, s=area, color=theme.test, alpha=0.85, zorder=2)
    for (depth, row), x, y in zip(numbers.items(), work, accuracy, strict=True):
        text = f"ResNet-{depth}\n{short(row['parameters'])} parameters"
        axes.annotate(text, (x, y), (12, -16), textcoords="offset points", fontsize=8.5, va="center")
    axes.set_xlim(0, 14)
    axes.set_ylim(68, 80)
    axes.set_xlabel("thousand million multiply-adds for one picture of 224×224")
    axes.set_ylabel("top-1 accuracy on ImageNet in %")
    return figure
