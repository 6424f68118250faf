"""Public checkpoints load without renaming: torchvision's, and those of the CIFAR family."""

import pytest
import torch

import plusx
from plusx.models import CifarResNet, create_model, load_state

IMAGENET = (18, 34, 50, 101, 152)
CIFAR = (20, 32, 44, 56, 110)


@pytest.mark.parametrize("depth", IMAGENET)
def test_state_names_are_torchvisions(depth, imagenet_names):
    with torch.device("meta"):
        assert set(create_model(f"resnet{depth}").state_dict()) == imagenet_names(depth)


@pytest.mark.parametrize("depth", CIFAR)
def test_state_names_are_the_public_cifar_ones(depth, cifar_names):
    with torch.device("meta"):
        assert set(create_model(f"resnet{depth}").state_dict()) == cifar_names(depth)


@pytest.mark.parametrize("depth", IMAGENET)
def test_outputs_with_equal_weights_are_torchvisions(depth, torchvision_models, imagenet_names, filled):
    with torch.device("meta"):
        theirs = getattr(torchvision_models, f"resnet{depth}")()
        ours = create_model(f"resnet{depth}")
    assert set(theirs.state_dict()) == imagenet_names(depth)
    state = filled(theirs)
    for model in (ours, theirs):
        model.load_state_dict(state, assign=True)
        model.eval()
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, logits = theirs(x), ours(x)
    assert expected.std() > 1e-3  # the pictures still matter at the end
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_cifar_checkpoints_load_with_and_without_the_prefix(prefix, filled):
    model = create_model("resnet20")
    state = filled(model)
    load_state(model, {prefix + name: tensor for name, tensor in state.items()})
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_checkpoints_from_before_batches_were_counted_load(filled):
    model = create_model("resnet20")
    state = {name: tensor for name, tensor in filled(model).items() if "num_batches" not in name}
    load_state(model, state)
    assert torch.equal(model.layer3[2].bn2.running_var, state["layer3.2.bn2.running_var"])


def test_names_that_do_not_fit_are_listed(filled):
    state = filled(create_model("resnet20"))
    state["fc.weight"] = state.pop("linear.weight")
    with pytest.raises(RuntimeError, match=r"(?s)linear\.weight.*fc\.weight"):
        load_state(create_model("resnet20"), state)


def test_projection_shortcuts_have_the_state_names_of_torchvision(cifar_names):
    extra = set(CifarResNet(20, option="B").state_dict()) - cifar_names(20)
    assert {name for name in extra if name.endswith("0.weight")} == {
        "layer2.0.downsample.0.weight",
        "layer3.0.downsample.0.weight",
    }
    assert all(name.startswith(("layer2.0.downsample.", "layer3.0.downsample.")) for name in extra)


def test_plusx_offers_the_networks_at_the_top():
    assert plusx.create_model is create_model
