"""Normalisation, shortcut and activation in one pass, against torch's three layers in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from plusx import ops
from plusx.ops.activation import ACTIVATIONS
from plusx.ops.normalisation import fused

LAYOUTS = [torch.channels_last, torch.contiguous_format]


def _random(
    *shape: int,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    layout: torch.memory_format = torch.channels_last,
) -> torch.Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
    return x.contiguous(memory_format=layout) if len(shape) == 4 else x


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_values_gradients_and_statistics_equal_torchs(data) -> None:
    N, C, H, W = (
        data.draw(st.integers(low, 7), label=name) for low, name in ((2, "N"), (1, "C"), (1, "H"), (1, "W"))
    )
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
    layout, other = (data.draw(st.sampled_from(LAYOUTS), label=of) for of in ("layout", "the shortcut's"))
    training, affine, shortcut = (
        data.draw(st.booleans(), label=name) for name in ("training", "affine", "shortcut")
    )
    activation = data.draw(st.sampled_from(sorted(ACTIVATIONS)), label="activation")
    wide = torch.promote_types(dtype, torch.float32)
    x = (_random(N, C, H, W, layout=layout) * 2 + 5).to(dtype).requires_grad_()
    added = _random(N, C, H, W, seed=1, dtype=dtype, layout=other).requires_grad_() if shortcut else None
    weight, bias = (_random(C, seed=s, dtype=wide).requires_grad_() if affine else None for s in (2, 3))
    running = [torch.full((C,), 4.0, dtype=wide), torch.full((C,), 2.0, dtype=wide)]
    assert fused.suits(x, added)

    mine = [r.clone() for r in running]
    y = ops.batch_norm(
        x, *mine, weight, bias, training, 0.3, added=added, activation=activation, engine="handmade"
    )
    grad = _random(N, C, H, W, seed=4, dtype=dtype)
    leaves = [t for t in (x, weight, bias, added) if t is not None]
    got = torch.autograd.grad(y, leaves, grad)

    theirs = [r.double() for r in running]
    copies = [None if t is None else t.detach().double().requires_grad_() for t in (x, weight, bias, added)]
    truth = F.batch_norm(copies[0], *theirs, copies[1], copies[2], training, 0.3)
    truth = truth if added is None else truth + copies[3]
    if activation == "relu":
        # Where rounding may turn a small positive number into 0 or back, either decision is right.
        open_ = torch.where(truth.abs() < 5e-2, y > 0, truth > 0)
        truth = torch.where(open_, truth, 0 * truth)
    truth = F.hardswish(truth) if activation == "hardswish" else truth
    expected = torch.autograd.grad(truth, [t for t in copies if t is not None], grad.double())

    tolerance = {"rtol": 3e-2, "atol": 5e-2} if dtype == torch.bfloat16 else {"rtol": 1e-3, "atol": 2e-4}
    assert y.dtype == dtype
    assert y.is_contiguous(memory_format=layout)
    torch.testing.assert_close(y.double(), truth, **tolerance)
    for a, b in zip(got, expected, strict=True):
        assert a.dtype in (dtype, wide)
        scale = max(1.0, b.abs().max().item())
        torch.testing.assert_close(a.double() / scale, b / scale, **tolerance)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_equal_finite_differences_twice(training, layout, activation) -> None:
    running = (torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))

    def block_end(x, weight, bias, added):
        return ops.batch_norm(
            x, *running, weight, bias, training, 0.0, added=added, activation=activation, engine="handmade"
        )

    inputs = [
        t.requires_grad_()
        for t in (
            _random(3, 2, 2, 2, layout=layout),
            _random(2, seed=1),
            _random(2, seed=2),
            _random(3, 2, 2, 2, seed=3, layout=layout),
        )
    ]
    assert gradcheck(block_end, inputs)
    assert gradgradcheck(block_end, inputs)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("order", ["x of added", "added of x", "the same"])
def test_a_block_is_differentiated_twice_though_its_ways_depend_on_each_other(order, training) -> None:
    running = (torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    kernel = _random(2, 2, 1, 1, seed=5, layout=torch.contiguous_format)

    def block(v):
        w = F.conv2d(v, kernel)
        x, added = {"x of added": (w, v), "added of x": (v, w), "the same": (v, v)}[order]
        return ops.batch_norm(
            x, *running, None, None, training, 0.0, added=added, activation="hardswish", engine="handmade"
        )

    v = _random(3, 2, 2, 2).requires_grad_()
    assert gradcheck(block, v)
    assert gradgradcheck(block, v)
    first, expected = (
        torch.autograd.grad(block(v).square().sum(), v, create_graph=create_graph)[0]
        for create_graph in (True, False)
    )
    torch.testing.assert_close(first, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [4, 8])
@pytest.mark.parametrize("engine", [None, "reference", "handmade", "native"])
def test_other_numbers_of_channels_are_refused_before_anything_is_read(engine, channels, layout) -> None:
    x = _random(2, 12 - channels, 3, 3, dtype=torch.float32, layout=layout)
    right, wrong = torch.ones(12 - channels), torch.ones(channels)
    for place in range(4):
        four = [wrong if k == place else right for k in range(4)]
        for training in (False, True):
            with pytest.raises(ValueError, match=rf"must be \({12 - channels},\) for x"):
                ops.batch_norm(x, *four, training, engine=engine)


@pytest.mark.parametrize("engine", [None, "reference", "handmade", "native"])
def test_a_shortcut_of_another_shape_is_refused(engine) -> None:
    x = torch.zeros(2, 3, 4, 4)
    for shape in ((2, 3, 4, 5), (1, 3, 1, 1), (5, 1, 3, 1, 1), ()):
        with pytest.raises(ValueError, match=r"added must be of the shape of x, \(2, 3, 4, 4\); got"):
            ops.batch_norm(x, torch.zeros(3), torch.ones(3), added=torch.zeros(shape), engine=engine)


@pytest.mark.parametrize("engine", [None, "reference", "handmade", "native"])
def test_an_unknown_activation_is_refused(engine) -> None:
    for x in (torch.zeros(2, 3), torch.zeros(2, 3, 4, 4)):
        with pytest.raises(ValueError, match="activation must be"):
            ops.batch_norm(x, torch.zeros(3), torch.ones(3), activation="gelu", engine=engine)  # type: ignore[arg-type]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_statistics_of_a_model_in_bfloat16(layout) -> None:
    x, running = _random(4, 3, 5, 5, dtype=torch.bfloat16, layout=layout), torch.full((3,), 0.5)
    y = ops.batch_norm(x, running.bfloat16(), running.bfloat16(), engine="handmade")
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), F.batch_norm(x.float(), running, running), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_engine_finishes_with_shortcut_and_activation(activation) -> None:
    x, added = _random(4, 3, 5, 5, dtype=torch.float32), _random(4, 3, 5, 5, seed=1, dtype=torch.float32)
    for layout in (torch.contiguous_format, torch.channels_last):
        a, b = (t.contiguous(memory_format=layout) for t in (x, added))
        f = {"identity": lambda v: v, "relu": F.relu, "hardswish": F.hardswish}[activation]
        expected = f(F.batch_norm(a, None, None, training=True) + b)
        for name in ("reference", "handmade", "native"):
            got = ops.batch_norm(a, None, None, training=True, added=b, activation=activation, engine=name)
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_large_mean_does_not_drown_the_variance(layout) -> None:
    x = _random(64, 3, 8, 8, dtype=torch.float32, layout=layout) + 1000
    mean, variance = fused.statistics(x)
    torch.testing.assert_close(mean.double(), x.double().mean((0, 2, 3)), rtol=1e-6, atol=1e-4)
    torch.testing.assert_close(
        variance.double(), x.double().var((0, 2, 3), correction=0), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nan_passes(activation, layout) -> None:
    x = torch.ones(2, 1, 1, 2).contiguous(memory_format=layout)
    x[0, 0, 0, 0] = torch.nan
    y = ops.batch_norm(x, torch.zeros(1), torch.ones(1), activation=activation, engine="handmade")
    assert y.isnan().tolist() == [[[[True, False]]], [[[False, False]]]]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_statistics_do_not_hang_on_the_first_pixel(layout) -> None:
    x = _random(4, 3, 128, 128, dtype=torch.float32, layout=layout)
    x[0, :, 0, 0] = 1000
    variance = torch.ones(3)
    ops.batch_norm(x, torch.zeros(3), variance, training=True, momentum=1.0, engine="handmade")
    torch.testing.assert_close(variance.double(), x.double().var((0, 2, 3)), rtol=1e-5, atol=0)


@pytest.mark.parametrize("engine", [None, "handmade"])
def test_statistics_may_move_between_a_pass_in_evaluation_and_its_way_back(engine) -> None:
    x, mean, variance = _random(4, 3, 5, 5).requires_grad_(), torch.zeros(3), torch.ones(3)
    mean, variance = mean.double(), variance.double()
    y = ops.batch_norm(x, mean, variance, engine=engine)
    ops.batch_norm(x, mean, variance, training=True, engine=engine)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient, torch.full_like(x, (1 + 1e-5) ** -0.5))


def test_a_saved_picture_may_come_back_in_other_strides() -> None:
    x = _random(2, 3, 4, 5, dtype=torch.float32).requires_grad_()

    def turned(t: torch.Tensor) -> torch.Tensor:
        return t.mT.contiguous().mT if t.dim() == 4 else t

    gradients = []
    for unpack in (turned, lambda t: t):
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t, unpack):
            y = ops.batch_norm(x, None, None, training=True, activation="relu", engine="handmade")
        gradients += torch.autograd.grad(y.square().sum(), x)
    torch.testing.assert_close(*gradients)
