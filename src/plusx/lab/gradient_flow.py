"""Does the gradient vanish on its way back through many layers?

The gradient's size is measured at every block, for plain and residual networks of 20, 56 and 110 layers as
they begin, with and without batch norm, and once more with weights that are too small; and for those of 20 and
56 layers after training. The lesson explains the trouble of deep networks by factors below 1 that multiply to nothing. The paper says that
batch norm leaves the gradients healthy and that the trouble is another one (He et al. 2015, section 4.1). A
third voice says that batch norm makes the gradients of a plain network explode as it begins (Yang et al. 2019,
arXiv 1902.08129): factors above 1.
"""

from typing import Any, cast

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from plusx import nn, ops
from plusx.inference import normalise
from plusx.lab.drawing import logarithmic
from plusx.lab.experiment import Judgement, Numbers, Table, Text
from plusx.lab.names import named
from plusx.lab.workbench import Workbench
from plusx.models import BasicBlock, create_model
from plusx.report.style import WIDTH, Theme, padded

SECTION = "深度网络的问题：梯度消失/爆炸；链式法则求梯度"
CLAIM = Text(
    "When the network is deep, many factors ∂h_{i+1}/∂h_i < 1 multiply and the gradient goes to zero.",
    "当网络很深时，很多 ∂h_{i+1}/∂h_i < 1 连乘 → 梯度趋近于0（梯度消失）",
)
QUESTION = Text(
    "Measure the gradient at every block of plain and residual networks: of 20, 56 and 110 layers at the start, "
    "with batch norm and without, and of 20 and 56 layers after training.",
    "测量传统网络与残差网络中每个块处的梯度：训练前 20、56、110 层，有、无批归一化；训练后 20、56 层。",
)
RULE = Text(
    "The gradient vanishes if at the first block it is below 1/1000 of what it is at the last. Holds if it "
    "vanishes in plain-56 and plain-110 as they are built, with batch norm. With conditions if only without "
    "batch norm or with weights that are too small. Otherwise it does not hold.",
    "若第一个块处的梯度小于最后一个块处的 1/1000，则称梯度消失。若按原样（带批归一化）构建的 plain-56 和 plain-110 梯度消失，则成立；"
    "若只在没有批归一化或权重过小时才消失，则为有条件成立；否则不成立。",
)
DEPTHS = (20, 56, 110)
KINDS = ("plain", "resnet")
SETTINGS = {"batch norm": (True, 1.0), "no norm": (False, 1.0), "no norm, weights × 0.7": (False, 0.7)}
"""Whether there is batch norm, and the factor on He's initial weights."""
PICTURES = 128
EPOCHS = 12


class NoNorm(nn.Module):
    """In the place of a batch norm: adds the shortcut and activates, and normalises nothing."""

    def forward(self, x: Tensor, added: Tensor | None = None, activation: str = "identity") -> Tensor:
        """`f(x + added)` with f the identity or ReLU."""
        total = x if added is None else x + added
        return ops.relu(total) if activation == "relu" else total


def network(name: str, norm: bool, factor: float) -> nn.Module:
    """The named network as it begins, perhaps without norms, its initial kernels multiplied by `factor`."""
    torch.manual_seed(0)
    model = create_model(name)
    for module in list(model.modules()):
        for child, layer in list(module.named_children()):
            if isinstance(layer, nn.BatchNorm2d) and not norm:
                setattr(module, child, NoNorm())
            if isinstance(layer, nn.Conv2d):
                layer.weight.data.mul_(factor)
    return model.train()


def gradients(model: nn.Module, x: Tensor, labels: Tensor) -> list[float]:
    """‖∂L/∂h‖ for the output h of every block, from the first to the last."""
    outputs: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    hooks = [m.register_forward_hook(keep) for m in model.modules() if isinstance(m, BasicBlock)]
    ops.cross_entropy(model(x), labels).backward()
    for hook in hooks:
        hook.remove()
    model.zero_grad(set_to_none=True)
    return [float(cast(Tensor, h.grad).norm()) for h in outputs]


def measure(bench: Workbench) -> Numbers:
    """One batch of real pictures back through each network."""
    count = 32 if bench.quick else PICTURES
    images = torch.from_numpy(bench.dataset.train_images[:count])
    labels = torch.from_numpy(bench.dataset.train_labels[:count])
    x = normalise(images, torch.tensor([125.3, 123.0, 113.9]) / 255, torch.tensor([63.0, 62.1, 66.7]) / 255)
    numbers: Numbers = {"start": {}, "trained": {}}
    for setting, (norm, factor) in SETTINGS.items():
        numbers["start"][setting] = {
            f"{kind}{depth}": gradients(network(f"{kind}{depth}", norm, factor), x, labels)
            for kind in KINDS
            for depth in DEPTHS
        }
    for kind in KINDS:
        for depth in (20, 56):
            name = f"{kind}{depth}"
            model = bench.train(name, recipe=name, seed=0, training__epochs=EPOCHS).model
            numbers["trained"][name] = gradients(model.train(), x, labels)
    return numbers


def product(norms: list[float]) -> float:
    """∏ of the factors ‖∂L/∂h_i‖ / ‖∂L/∂h_{i+1}‖: first over last.

    >>> product([0.25, 0.5, 1.0])
    0.25
    """
    return norms[0] / norms[-1] if norms[-1] else 0.0


def typical_factor(norms: list[float]) -> float:
    """The geometric mean of the factors.

    >>> typical_factor([0.25, 0.5, 1.0])
    0.5
    """
    return float(product(norms) ** (1 / (len(norms) - 1)))


def judge(numbers: Numbers) -> Judgement:
    """Apply the rule."""
    ratio = {
        setting: {name: product(norms) for name, norms in by.items()}
        for setting, by in numbers["start"].items()
    }
    vanishes = {s: all(by[f"plain{d}"] < 1e-3 for d in (56, 110)) for s, by in ratio.items()}
    because = Text(
        "Gradient at the first block over the last, plain-110: {bn:.2g} with batch norm, {free:.2g} without, "
        "{small:.2g} without and with weights × 0.7 (ResNet-110: {res_bn:.2g}, {res_free:.2g}, {res_small:.2g}). "
        "After training, plain-56: {trained:.2g}, ResNet-56: {res_trained:.2g}.",
        "第一个块与最后一个块的梯度之比，plain-110：有批归一化 {bn:.2g}，没有时 {free:.2g}，没有且权重 × 0.7 时 {small:.2g}"
        "（ResNet-110：{res_bn:.2g}、{res_free:.2g}、{res_small:.2g}）。训练后 plain-56 为 {trained:.2g}，ResNet-56 为 {res_trained:.2g}。",
    ).format(
        **{
            prefix + key: ratio[setting][f"{kind}110"]
            for prefix, kind in (("", "plain"), ("res_", "resnet"))
            for key, setting in zip(("bn", "free", "small"), SETTINGS, strict=True)
        },
        trained=product(numbers["trained"]["plain56"]),
        res_trained=product(numbers["trained"]["resnet56"]),
    )
    if max(ratio["batch norm"][f"plain{d}"] for d in (56, 110)) > 1e3:
        because = Text(
            because.en + " As built, with batch norm, the gradient of the deep plain networks explodes.",
            because.zh + "按原样（带批归一化）构建时，深层传统网络的梯度不是消失，而是爆炸。",
        )
    if vanishes["batch norm"]:
        return Judgement("holds", because)
    return Judgement("holds with conditions" if any(vanishes.values()) else "does not hold", because)


def tables(numbers: Numbers) -> list[Table]:
    """The product over all blocks, and the typical factor of one."""
    rows: list[tuple[str | Text, ...]] = []
    for setting, by in (*numbers["start"].items(), ("after training", numbers["trained"])):
        for name, norms in by.items():
            rows.append((named(setting), name, f"{typical_factor(norms):.3f}", f"{product(norms):.2g}"))
    columns = (
        *(Text("setting", "设置"), Text("network", "网络"), Text("factor a block", "每块的因子")),
        Text("product", "连乘积"),
    )
    title = Text("‖∂L/∂h_first‖ / ‖∂L/∂h_last‖", "‖∂L/∂h_首‖ / ‖∂L/∂h_末‖")
    return [Table(title, columns, tuple(rows))]


def draw(numbers: Numbers, theme: Theme) -> Figure:
    """The gradient block by block, relative to the last block."""
    moments = {**numbers["start"], "batch norm, after training": numbers["trained"]}
    figure = Figure(figsize=(WIDTH, 5.4), layout=padded())
    panels = figure.subplots(2, 2, sharey=True).ravel()
    colours = dict(zip(DEPTHS, (theme.validation, theme.train, theme.test), strict=True))
    for axes, (moment, by) in zip(panels, moments.items(), strict=True):
        for name, norms in by.items():
            depth, plain = int(name.removeprefix("plain").removeprefix("resnet")), name.startswith("plain")
            relative = np.array(norms) / (norms[-1] or 1)
            relative[relative < 1e-12] = np.nan  # off the picture
            places = np.linspace(0, 1, len(norms))
            axes.plot(
                places, relative, "--" if plain else "-", color=colours[depth], label=name, linewidth=1.6
            )
        axes.set_title(moment, loc="left", color=theme.muted, fontsize=10)
        axes.set_xticks([0, 1], ["first block", "last"])
        logarithmic(axes.yaxis)
        axes.yaxis.set_major_formatter(
            lambda value, _: f"{value:g}" if 0.01 <= value <= 100 else f"{value:.0e}"
        )
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=6, frameon=False, fontsize=8.5)
    figure.supylabel("size of the gradient, last block = 1", fontsize=9.5, color=theme.muted)
    return figure
