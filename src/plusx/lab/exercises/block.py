"""What the residual blocks by hand are checked for; the truth is `plusx.models.blocks`."""

from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from plusx import ops
from plusx.lab.exercises.checking import Check, Hint, compare, load_state
from plusx.lab.experiment import Text
from plusx.models import blocks


def perturbed(block: nn.Module) -> nn.Module:
    """In evaluation mode, with statistics, scales and shifts that are not 0 and 1, so that each of them matters."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in block.state_dict().items():
        if "bn" in name or "downsample.1" in name:
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        else:
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.3)
    return block.eval()


def outputs(block: Any, x: Tensor, *, shortcut: bool = True, last: bool = True, between: bool = True,
            before: bool = False, projected: bool = True) -> Tensor:  # fmt: skip
    """What a block with the same layers gives if a piece of it is left out or misplaced."""
    y, rest = x, len([name for name in ("conv1", "conv2", "conv3") if hasattr(block, name)])
    for k in range(1, rest + 1):
        y = getattr(block, f"bn{k}")(getattr(block, f"conv{k}")(y))
        if k < rest and between:
            y = y.relu()
    if before:
        y = y.relu()
    if shortcut:
        y = y + (block.downsample(x) if block.downsample is not None and projected else x)
    return y.relu() if last else y


MISTAKES = {
    Text("the shortcut is missing: y = relu(F(x) + x)", "缺少捷径：y = relu(F(x) + x)"): {"shortcut": False},
    Text("the last relu is missing: it comes after the addition", "缺少最后的 relu：它在相加之后"): {"last": False},
    Text("relu comes after the addition, not before it", "relu 应在相加之后，而不是之前"): {"before": True, "last": False},
    Text("relu comes once at the end: F(x) itself ends with its norm",
         "末尾只有一个 relu：F(x) 本身以归一化结束"): {"before": True},
    Text("a relu is missing inside F: there is one after each norm but the last",
         "F 内部缺少 relu：除最后一个外，每个归一化之后都有"): {"between": False},
    Text("shortcut and last relu are missing: y = relu(F(x) + x)",
         "缺少捷径和最后的 relu：y = relu(F(x) + x)"): {"shortcut": False, "last": False},
    Text("downsample is not used: where it is given, the shortcut is downsample(x)",
         "没有用 downsample：给出时，捷径应为 downsample(x)"): {"projected": False},
}  # fmt: skip


def block_check(name: str, title: Text, in_channels: int, stride: int, with_projection: bool) -> Check:
    """Equal weights have to give equal outputs."""

    def attempt(answer: ModuleType) -> Hint:
        made: Any = getattr(blocks, name)
        out_channels = 4 * made.expansion
        x = torch.randn(2, in_channels, 6, 6, generator=torch.Generator().manual_seed(2))

        def projection() -> nn.Module | None:
            if not with_projection:
                return None
            layers = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            return nn.Sequential(*layers)

        truth = perturbed(made(in_channels, 4, stride, projection()))
        own = getattr(answer, name)(in_channels, 4, stride, projection())
        hint = load_state(own, truth.state_dict())
        if hint is not None:
            return hint
        strides = {
            n: m.stride for n, m in own.named_modules() if isinstance(m, nn.Conv2d) and "down" not in n
        }
        wanted = {
            n: m.stride for n, m in truth.named_modules() if isinstance(m, nn.Conv2d) and "down" not in n
        }
        if strides != wanted:
            if stride == 1:
                return Text(
                    "where `stride` is 1, every convolution's stride has to be 1",
                    "stride 为 1 时，各卷积的步长都应为 1",
                )
            place = next(n for n in wanted if wanted[n] != (1, 1))
            return Text(f"the stride belongs to {place}", f"步长应在 {place} 上")
        # Ours does in one pass what the student writes in three: PyTorch's layers round both alike.
        with torch.no_grad(), ops.engine("native"):
            mistakes = {hint: partial(outputs, truth, x, **k) for hint, k in MISTAKES.items()}
            return compare(own.eval()(x.clone()), truth(x), mistakes, name)  # theirs may write into x

    return Check(title, attempt)


CHECKS = (
    block_check("BasicBlock", Text("basic block", "基本块"), 4, 1, False),
    block_check(
        "BasicBlock", Text("basic block with stride and projection", "带步长和投影的基本块"), 3, 2, True
    ),
    # The only one where x itself could be added by mistake: elsewhere the shapes differ, and torch refuses.
    block_check(
        "BasicBlock",
        Text("basic block with a projection that keeps the shape", "带投影但形状不变的基本块"),
        *(4, 1, True),
    ),
    block_check("Bottleneck", Text("bottleneck", "瓶颈块"), 16, 1, False),
    block_check(
        "Bottleneck", Text("bottleneck with stride and projection", "带步长和投影的瓶颈块"), 8, 2, True
    ),
)
