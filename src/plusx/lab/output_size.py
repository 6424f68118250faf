"""Does the formula give the size of every layer's output?

The formula is compared with what convolution and pooling really return, in every engine, over a grid of sizes,
kernels, strides and paddings; where it says that nothing is left, every engine has to refuse.
"""

import itertools

import torch
from matplotlib.figure import Figure
from torch import Tensor

from plusx import ops
from plusx.lab.drawing import colours
from plusx.lab.experiment import Judgement, Numbers, Table, Text
from plusx.lab.workbench import Workbench
from plusx.report.style import WIDTH, Theme, padded

SECTION = "尺寸关系: 输出尺寸计算公式；填充类型"
CLAIM = Text(
    "H_out = ⌊(H_in + 2P − K) / S⌋ + 1; Same padding keeps the output as large as the input.",
    "输出尺寸计算公式：H_out = ⌊(H_in + 2P − K) / S⌋ + 1；Same：填充使输出尺寸与输入相同",
)
QUESTION = Text(
    "Compare the formula with the size that every engine returns, over a grid of H, K, S and P.",
    "在 H、K、S、P 的网格上，把公式与每个引擎实际返回的尺寸比较。",
)
RULE = Text(
    "Does not hold if a size differs from the formula or an impossible one is not refused. Holds if, besides, "
    "'same' keeps the size at every stride; with conditions if only at stride 1.",
    "若有尺寸与公式不符，或不可能的尺寸没有被拒绝，则不成立。若 Same 在所有步长下都保持尺寸，则成立；"
    "若只在步长 1 时保持，则为有条件成立。",
)
SIZES = (1, 2, 3, 4, 5, 7, 8, 11, 16)
KERNELS = (1, 2, 3, 4, 5, 7)
STRIDES = (1, 2, 3, 4)
PADDINGS = (0, 1, 2, 3)
STUDENTS = ((3, 1, 0), (3, 1, 1), (3, 2, 1), (5, 1, 2), (7, 2, 3), (1, 1, 0), (1, 2, 0), (2, 2, 0))
"""(K, S, P) that networks use."""


def formula(H: int, K: int, S: int, P: int) -> int:
    """⌊(H + 2P − K) / S⌋ + 1, as the lesson writes it; 0 or less means that no window fits.

    >>> formula(224, 7, 2, 3), formula(32, 3, 1, 1)
    (112, 32)
    """
    return (H + 2 * P - K) // S + 1


def returned(operation: str, engine: str, H: int, K: int, S: int, P: int | str) -> int | None:
    """The side that an engine returns for a square picture; None if it refuses."""
    x = torch.zeros(1, 1, H, H)
    try:
        y: Tensor
        if operation == "convolution":
            y = ops.conv2d(x, torch.zeros(1, 1, K, K), stride=S, padding=P, engine=engine)
        else:
            pool = ops.max_pool2d if operation == "max pooling" else ops.avg_pool2d
            y = pool(x, K, S, P, engine=engine)
    except ValueError:
        return None
    return y.shape[-1]


def measure(bench: Workbench) -> Numbers:
    """Walk over the grid; pooling takes padding up to half of its window only."""
    grid = list(itertools.product(SIZES[:6] if bench.quick else SIZES, KERNELS, STRIDES, PADDINGS))
    checked, wrong, impossible = 0, [], 0
    for operation, engine in itertools.product(
        ("convolution", "max pooling", "average pooling"), ops.ENGINES
    ):
        for H, K, S, P in grid:
            if operation != "convolution" and P > K // 2:
                continue
            expected = formula(H, K, S, P) if H + 2 * P >= K else None
            impossible += expected is None
            checked += 1
            if returned(operation, engine, H, K, S, P) != expected:
                wrong.append([operation, engine, H, K, S, P])
    same = {
        str(S): all(
            returned("convolution", engine, H, K, S, "same") == H
            for engine, H, K in itertools.product(ops.ENGINES, (5, 8), (2, 3, 5))
        )
        for S in STRIDES
    }
    return {
        "checked": checked,
        "impossible": impossible,
        "wrong": wrong,
        "same_keeps_the_size_at_stride": same,
        "same_at_stride_2": {str(H): returned("convolution", "native", H, 3, 2, "same") for H in (7, 8)},
    }


def judge(numbers: Numbers) -> Judgement:
    """Apply the rule."""
    same = numbers["same_keeps_the_size_at_stride"]
    accepted = sum(H + 2 * P < K for _, _, H, K, _, P in numbers["wrong"])  # where no window fits
    possible = numbers["checked"] - numbers["impossible"]
    because = Text(
        "{right:,} of {possible:,} sizes are the formula's; {refused:,} of {impossible:,} impossible ones were "
        "refused. Of the strides {all}, 'same' keeps the size at {strides}; at stride 2 it makes {halved}.",
        "{possible:,} 个尺寸中有 {right:,} 个与公式一致；{impossible:,} 个不可能的尺寸中有 {refused:,} 个被拒绝。"
        "步长 {all} 中，Same 在 {strides} 时保持尺寸；步长为 2 时 {halved}。",
    ).format(
        possible=possible,
        right=possible - (len(numbers["wrong"]) - accepted),
        impossible=numbers["impossible"],
        refused=numbers["impossible"] - accepted,
        all=", ".join(same),
        strides=", ".join(stride for stride, keeps in same.items() if keeps) or "–",
        halved=", ".join(f"{H} → {side}" for H, side in numbers["same_at_stride_2"].items()),
    )
    if numbers["wrong"] or not same["1"]:
        return Judgement("does not hold", because)
    return Judgement("holds" if all(same.values()) else "holds with conditions", because)


def tables(numbers: Numbers) -> list[Table]:
    """The table that a student wants: layers that are in use, and what they make of usual sizes."""
    sizes = (224, 112, 56, 32, 28, 8)
    rows = tuple((f"K={K} S={S} P={P}", *(str(formula(H, K, S, P)) for H in sizes)) for K, S, P in STUDENTS)
    title = Text("side of the output for a side H of the input", "输入边长为 H 时的输出边长")
    return [Table(title, (Text("layer", "层"), *(Text(f"H={H}", f"H={H}") for H in sizes)), rows)]


def draw(numbers: Numbers, theme: Theme) -> Figure:
    """Output against input: the floor makes steps."""
    figure = Figure(figsize=(WIDTH, 3.4), layout=padded())
    axes = figure.subplots()
    sides = range(1, 33)
    for (K, S, P), colour in zip(((3, 1, 1), (3, 1, 0), (3, 2, 1), (7, 4, 0)), colours(theme), strict=True):
        points = [(H, formula(H, K, S, P)) for H in sides if H + 2 * P >= K]
        x, y = zip(*points, strict=True)
        axes.step(x, y, where="post", color=colour, label=f"K={K} S={S} P={P}")
    axes.set_xlabel("side of the input in pixels")
    axes.set_ylabel("side of the output in pixels")
    figure.legend(loc="outside right upper", frameon=False)
    return figure
