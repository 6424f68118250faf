"""All engines agree through the layers; who names an engine gets it."""

import pytest
import torch

import plusx
from plusx import nn


class Loss(nn.CrossEntropyLoss):
    """The loss as a layer of one input: pictures are logits, the classes fixed."""

    def forward(self, x):
        return super().forward(x.flatten(1), torch.arange(len(x)))


LAYERS = {
    "conv": lambda **engine: nn.Conv2d(3, 4, 3, stride=2, padding=1, **engine),
    "max_pool": lambda **engine: nn.MaxPool2d(3, 2, 1, **engine),
    "avg_pool": lambda **engine: nn.AvgPool2d(2, ceil_mode=True, **engine),
    "global_avg_pool": lambda **engine: nn.GlobalAvgPool2d(**engine),
    "global_max_pool": lambda **engine: nn.GlobalMaxPool2d(**engine),
    "adaptive_avg_pool": lambda **engine: nn.AdaptiveAvgPool2d(1, **engine),
    "batch_norm": lambda **engine: nn.BatchNorm2d(3, **engine),
    "linear": lambda **engine: nn.Linear(5, 2, **engine),
    "relu": lambda **engine: nn.ReLU(**engine),
    "hardswish": lambda **engine: nn.Hardswish(**engine),
    "loss": lambda **engine: Loss(label_smoothing=0.1, **engine),
}
PICTURES = (2, 3, 5, 5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)
def test_engines_agree(build, training):
    x = torch.randn(PICTURES, dtype=torch.float64)
    free = build().double().train(training)
    outputs = []
    for engine in plusx.ops.ENGINES:
        bound = build(engine=engine).double().train(training)
        bound.load_state_dict(free.state_dict())
        with torch.no_grad():
            outputs.append(bound(x))
            with plusx.engine(engine):
                outputs.append(free(x))
    for output in outputs[1:]:
        torch.testing.assert_close(output, outputs[0])


@pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)
def test_a_layer_keeps_the_engine_it_was_built_with(build):
    """Only the reference refuses to be differentiated, which tells who computed."""
    x = torch.randn(PICTURES, requires_grad=True)
    bound = build(engine="reference")
    with plusx.engine("native"), pytest.raises(RuntimeError, match="reference"):
        bound(x)
    with plusx.engine("reference"):
        build(engine="handmade")(x).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)
def test_a_layer_without_an_engine_follows_its_surroundings(build):
    layer, x = build(), torch.randn(PICTURES, requires_grad=True)
    with plusx.engine("reference"), pytest.raises(RuntimeError, match="reference"):
        layer(x)
    layer(x).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(
    "name", ["conv", "max_pool", "avg_pool", "batch_norm", "linear", "relu", "hardswish", "loss"]
)
def test_handmade_gradients_are_ours_and_native_ones_are_torchs(name, is_handmade):
    x = torch.randn(PICTURES, requires_grad=True)
    assert is_handmade(LAYERS[name](engine="handmade")(x))
    assert not is_handmade(LAYERS[name](engine="native")(x))


def test_left_alone_a_layer_takes_ours_only_where_it_is_the_faster_one(is_handmade):
    x = torch.randn(PICTURES, requires_grad=True)
    assert is_handmade(nn.MaxPool2d(2)(x))
    assert is_handmade(nn.MaxPool2d(3, stride=2)(x))
    assert not is_handmade(nn.MaxPool2d(5)(x))
    assert is_handmade(nn.AvgPool2d(2)(x))
    assert is_handmade(nn.AvgPool2d(3, stride=2)(x))
    assert not is_handmade(nn.AvgPool2d(5)(x))
    assert not is_handmade(nn.Conv2d(3, 4, 3)(x))
    many = torch.randn(160, 64, 16, 16)
    wide = nn.Conv2d(64, 64, 3, padding=1)
    assert is_handmade(wide(many))
    assert not is_handmade(wide(many[:2]))
    with plusx.engine("native"), plusx.engine("auto"):
        assert is_handmade(wide(many))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)
def test_native_layers_are_transformed_as_torchs(build, layout):
    layer = build(engine="native").eval()
    x = torch.randn(3, *PICTURES).flatten(0, 1).contiguous(memory_format=layout).unflatten(0, (3, 2))
    with torch.no_grad():
        torch.testing.assert_close(torch.func.vmap(layer)(x), torch.stack([layer(part) for part in x]))
