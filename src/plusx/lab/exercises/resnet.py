"""What a whole ResNet by hand is checked for: public names, published parameter counts, equal outputs."""

from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from plusx import nn, ops
from plusx.lab.exercises import block
from plusx.lab.exercises.checking import Check, Hint, compare, load_state
from plusx.lab.experiment import Text
from plusx.models import create_model

PUBLISHED = {18: 11_689_512, 34: 21_797_672}
SIDE = 224
"""The template's: there 7×7 average pooling is global pooling too."""


def perturbed(network: torch.nn.Module, x: Tensor) -> torch.nn.Module:
    """In evaluation mode, with norms that are far from the identity, so that their place and their parts matter.

    Statistics are those of x, so that signals neither vanish nor explode over all the layers.
    """
    generator = torch.Generator().manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0  # one batch, and nothing is left of the means of 0 and variances of 1
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5, generator)
            torch.nn.init.uniform_(layer.bias, -0.5, 0.5, generator)
    with torch.no_grad():
        network.train()(x)
    return network.eval()


def outputs(network: Any, x: Tensor, *, stem: str = "norm relu", window: int = 3, head: str = "mean",
            **in_blocks: bool) -> Tensor:  # fmt: skip
    """What a network with the same layers gives if a piece of it is left out or misplaced."""
    y = network.conv1(x)
    for step in stem.split():
        y = network.bn1(y) if step == "norm" else y.relu()
    y = torch.nn.functional.max_pool2d(y, window, 2, padding=window // 2 if window % 2 else 0)
    for number in (1, 2, 3, 4):
        for made in getattr(network, f"layer{number}"):
            y = block.outputs(made, y, **in_blocks)
    logits = network.fc(y.amax((2, 3)) if head == "max" else y.mean((2, 3)))
    return logits.softmax(1) if head == "softmax" else logits


MISTAKES: dict[Text, dict[str, Any]] = {
    Text("a relu is missing after bn1: relu(bn1(conv1(x)))", "bn1 之后缺少 relu：relu(bn1(conv1(x)))"): {"stem": "norm"},
    Text("the first relu comes after its norm, not before it", "第一个 relu 应在归一化之后，而不是之前"):
        {"stem": "relu norm"},
    Text("the max pooling is 3×3 with stride 2 and padding 1, not 2×2",
         "最大池化应为 3×3、步长 2、填充 1，而不是 2×2"): {"window": 2},
    Text("the network ends with fc: without softmax, which the loss does", "网络以 fc 结束：不要 softmax，损失函数里才有"):
        {"head": "softmax"},
    Text("global pooling takes the mean over all positions, not the largest", "全局池化应取所有位置的平均，而不是最大值"):
        {"head": "max"},
    **{Text(f"in the blocks, {hint.en.removeprefix('the ')}", f"块里{hint.zh}"): settings
       for hint, settings in block.MISTAKES.items()},
}  # fmt: skip


def attempt(answer: ModuleType, depth: int) -> Hint:
    """Build it, count it, load equal weights into it, and compare what comes out."""
    own = answer.ResNet(depth)
    x = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    truth = perturbed(create_model(f"resnet{depth}"), x)
    hint = load_state(own, truth.state_dict())
    if hint is not None:
        return hint
    count = sum(p.numel() for p in own.parameters())
    if count != PUBLISHED[depth]:
        return Text(
            f"{count:,} parameters instead of the published {PUBLISHED[depth]:,}",
            f"参数量为 {count:,}，公开数字是 {PUBLISHED[depth]:,}",
        )
    sizes: dict[str, torch.Size] = {}

    def keep(into: dict[str, torch.Size], name: str, _: torch.nn.Module, __: object, output: Tensor) -> None:
        into[name] = output.shape

    def look(model: torch.nn.Module, into: dict[str, torch.Size]) -> None:
        for name in ("conv1", "layer1", "layer2", "layer3", "layer4"):
            getattr(model, name).register_forward_hook(partial(keep, into, name))

    expected: dict[str, torch.Size] = {}
    look(own, sizes)
    look(truth, expected)
    # Under PyTorch's kernels, as in the student's network: other sums round otherwise.
    with torch.no_grad(), ops.engine("native"):
        got, right = own.eval()(x.clone()), truth(x)  # theirs may write into x
        mistakes = {hint: partial(outputs, truth, x, **k) for hint, k in MISTAKES.items()}
    for name, shape in expected.items():
        # A stage whose blocks are called one by one is never called itself: nothing is known of it.
        if sizes.get(name, shape) != shape:
            came = tuple(sizes[name])
            return Text(
                f"a picture of {SIDE}×{SIDE} should leave {name} as {tuple(shape)}, not {came}: look at the strides "
                "and at the max pooling before it",
                f"{SIDE}×{SIDE} 的图片经过 {name} 后应为 {tuple(shape)}，而不是 {came}：检查步长和之前的最大池化",
            )
    with torch.no_grad(), ops.engine("native"):
        return compare(got, right, mistakes, f"ResNet({depth})")


CHECKS = tuple(
    Check(
        Text(f"ResNet-{depth}: names, parameters, outputs", f"ResNet-{depth}：名字、参数量、输出"),
        partial(attempt, depth=depth),
    )
    for depth in PUBLISHED
)
