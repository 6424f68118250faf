"""State dicts for others: torchvision's names and shapes, written down here from its published networks."""

import pytest
import torch
from safetensors.torch import load_file

from plusx.errors import UserError
from plusx.export import save_state, torchvision_twin
from plusx.models import Card, create_model

Shapes = dict[str, tuple[int, ...]]


def norm(name: str, channels: int) -> Shapes:
    leaves = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{leaf}": (channels,) for leaf in leaves} | {f"{name}.num_batches_tracked": ()}


def torchvision_layout(blocks: tuple[int, ...], bottleneck: bool, classes: int) -> Shapes:
    """Keys and shapes of torchvision's resnet state dict."""
    shapes: Shapes = {"conv1.weight": (64, 3, 7, 7), **norm("bn1", 64)}
    before = 64
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        after = 4 * width if bottleneck else width
        for i in range(count):
            block = f"layer{stage + 1}.{i}"
            convolutions = (
                [(width, before, 1, 1), (width, width, 3, 3), (after, width, 1, 1)]
                if bottleneck
                else [(width, before, 3, 3), (width, width, 3, 3)]
            )
            for number, shape in enumerate(convolutions, start=1):
                shapes |= {f"{block}.conv{number}.weight": shape, **norm(f"{block}.bn{number}", shape[0])}
            if before != after:
                shapes[f"{block}.downsample.0.weight"] = (after, before, 1, 1)
                shapes |= norm(f"{block}.downsample.1", after)
            before = after
    return shapes | {"fc.weight": (classes, before), "fc.bias": (classes,)}


@pytest.mark.parametrize(
    ("name", "blocks", "bottleneck", "tensors"),
    [("resnet18", (2, 2, 2, 2), False, 122), ("resnet50", (3, 4, 6, 3), True, 320)],
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_the_names_and_shapes_are_torchvisions(
    tmp_path, name: str, blocks: tuple[int, ...], bottleneck: bool, tensors: int, suffix: str
) -> None:
    network = create_model(name, num_classes=7)
    path = tmp_path / f"state{suffix}"
    assert save_state(network, path) == tensors
    state = load_file(path) if suffix == ".safetensors" else torch.load(path, weights_only=True)
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == torchvision_layout(
        blocks, bottleneck, 7
    )
    assert {tensor.dtype for tensor in state.values()} == {torch.float32, torch.int64}
    assert all(torch.equal(tensor, state[key]) for key, tensor in network.state_dict().items())


def test_half_precision_becomes_float32(tmp_path) -> None:
    network = create_model("plain20").half()
    save_state(network, tmp_path / "state.pth")
    state = torch.load(tmp_path / "state.pth", weights_only=True)
    assert state["conv1.weight"].dtype == torch.float32
    torch.testing.assert_close(state["conv1.weight"], network.conv1.weight.float())


@pytest.mark.parametrize(
    ("name", "residual", "twin"),
    [
        ("resnet18", True, "resnet18"),
        ("resnet152", True, "resnet152"),
        ("resnet18", False, None),
        ("plain18", True, None),
        ("resnet20", True, None),
        ("fast", True, None),
    ],
)
def test_only_the_imagenet_resnets_have_a_twin(name: str, residual: bool, twin: str | None) -> None:
    assert torchvision_twin(Card(name, residual, ("a",), (0.5,) * 3, (0.5,) * 3, 32)) == twin


def test_another_suffix_is_refused(tmp_path) -> None:
    with pytest.raises(UserError, match=r"\.safetensors or \.pth"):
        save_state(create_model("plain20"), tmp_path / "state.bin")
    assert not list(tmp_path.iterdir())
