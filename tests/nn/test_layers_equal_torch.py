"""Each layer against its `torch.nn` twin: arguments, state, outputs, gradients."""

import inspect

import pytest
import torch
from torch import Tensor

import plusx

PICTURES = (2, 4, 7, 6)
CASES = [
    ("Conv2d", (4, 6, 3), {}, PICTURES),
    ("Conv2d", (4, 6, 3, 2, 1, 1, 2, False), {}, PICTURES),
    ("Conv2d", (4, 6), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}, PICTURES),
    ("Conv2d", (4, 8, 2), {"dilation": (2, 3), "groups": 4}, PICTURES),
    ("Conv2d", (4, 3, (4, 3)), {"padding": "same", "dilation": 2}, PICTURES),
    ("Conv2d", (4, 3, 3), {"padding": "valid"}, PICTURES),
    ("Conv2d", (4, 3, 3), {}, PICTURES[1:]),
    ("MaxPool2d", (2,), {}, PICTURES),
    ("MaxPool2d", (3, 2, 1), {}, PICTURES),
    ("MaxPool2d", ((3, 2),), {"stride": (1, 2), "dilation": (2, 1), "ceil_mode": True}, PICTURES),
    ("AvgPool2d", (2,), {}, PICTURES),
    ("AvgPool2d", (3, 2, 1, True, False), {}, PICTURES),
    ("AvgPool2d", ((3, 2),), {"stride": (2, 1), "padding": (1, 0)}, PICTURES),
    ("AdaptiveAvgPool2d", (1,), {}, PICTURES),
    ("AdaptiveAvgPool2d", ((1, 1),), {}, PICTURES),
    ("AdaptiveAvgPool2d", ((3, None),), {}, PICTURES),
    ("BatchNorm2d", (4,), {}, PICTURES),
    ("BatchNorm2d", (4, 0.1, 0.3), {"affine": False}, PICTURES),
    ("BatchNorm2d", (4,), {"bias": False}, PICTURES),
    ("Linear", (6, 5), {}, (3, 6)),
    ("Linear", (6, 5, False), {}, PICTURES),
    ("ReLU", (), {}, PICTURES),
    ("ReLU", (True,), {}, (5,)),
    ("Hardswish", (), {}, PICTURES),
    ("Hardswish", (True,), {}, (5,)),
]
TWINS = list(dict.fromkeys(name for name, *_ in CASES))


def results(layer: torch.nn.Module, x: Tensor) -> list[Tensor]:
    """The output and the gradients of x and of every parameter, for a fixed gradient of the output."""
    x = x.clone().requires_grad_()
    y = layer(x * 1)  # not a leaf: torch's ReLU may overwrite it
    y.backward(torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape))
    return [y.detach(), x.grad, *(parameter.grad for parameter in layer.parameters())]


@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), CASES)
def test_same_state_outputs_and_gradients(name, args, kwargs, shape):
    ours, twin = (getattr(room, name)(*args, **kwargs).double() for room in (plusx.nn, torch.nn))
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [
        (k, v.shape) for k, v in twin.state_dict().items()
    ]
    twin.load_state_dict(ours.state_dict())
    for parameter in twin.parameters():
        torch.nn.init.normal_(parameter)
    ours.load_state_dict(twin.state_dict())
    x = torch.randn(shape, dtype=torch.float64)
    for training in (True, False):
        ours.zero_grad()
        twin.zero_grad()
        torch.testing.assert_close(results(ours.train(training), x), results(twin.train(training), x))


@pytest.mark.parametrize("name", TWINS)
def test_same_arguments_in_the_same_order_with_the_same_defaults(name):
    ours, twin = (
        [(p.name, p.default) for p in inspect.signature(getattr(room, name)).parameters.values()]
        for room in (plusx.nn, torch.nn)
    )
    assert ours == [*twin, ("engine", None)]


@pytest.mark.parametrize("name", TWINS)
def test_code_that_looks_for_the_torch_layer_finds_ours(name):
    assert issubclass(getattr(plusx.nn, name), getattr(torch.nn, name))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_cross_entropy_equals_torch(reduction, label_smoothing):
    settings = {"reduction": reduction, "label_smoothing": label_smoothing}
    target = torch.tensor([0, 4, 2])
    logits = torch.randn(3, 5, dtype=torch.float64)
    losses, gradients = [], []
    for room in (plusx.nn, torch.nn):
        z = logits.clone().requires_grad_()
        losses.append(room.CrossEntropyLoss(**settings)(z, target))
        gradients += torch.autograd.grad(losses[-1].sum(), z)
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_global_pooling_is_the_mean_and_the_maximum_of_each_map():
    x = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(plusx.nn.GlobalAvgPool2d()(x), x.mean((2, 3), keepdim=True))
    assert torch.equal(plusx.nn.GlobalMaxPool2d()(x), x.amax((2, 3), keepdim=True))


def test_device_and_dtype_reach_the_state():
    layers = (
        plusx.nn.Conv2d(1, 1, 1, device="meta", dtype=torch.float64),
        plusx.nn.Linear(1, 1, device="meta", dtype=torch.float64),
        plusx.nn.BatchNorm2d(1, device="meta", dtype=torch.float64),
    )
    for layer in layers:
        assert layer.weight.is_meta
        assert layer.weight.dtype == torch.float64


@pytest.mark.parametrize(
    ("size", "kernel_size", "stride"), [(7, 3, 2), (8, 3, 2), (8, 2, 1), (9, 4, 3), (5, 1, 2)]
)
def test_same_padding_with_a_stride_keeps_a_pixel_of_each_stride(size, kernel_size, stride):
    layer = plusx.nn.Conv2d(2, 3, kernel_size, stride, padding="same")
    x = torch.randn(1, 2, size, size)
    outputs = (size + stride - 1) // stride
    zeros = max((outputs - 1) * stride + kernel_size - size, 0)
    before, after = zeros // 2, zeros - zeros // 2
    padded = torch.nn.functional.pad(x, (before, after, before, after))
    expected = torch.nn.functional.conv2d(padded, layer.weight, layer.bias, stride)
    assert layer(x).shape[2:] == (outputs, outputs)
    torch.testing.assert_close(layer(x), expected)
    assert "padding=same" in repr(layer)


def test_pooling_takes_same_padding_too():
    x = torch.randn(1, 2, 5, 5)
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1), value=-torch.inf)
    assert torch.equal(plusx.nn.MaxPool2d(2, padding="same")(x), torch.nn.functional.max_pool2d(padded, 2))
