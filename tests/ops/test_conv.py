"""Convolution: three engines, torch and finite differences against each other."""

from importlib import import_module

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from plusx import nn, ops
from plusx.ops.convolution import columns

CASES = [
    # stride, padding, dilation, groups
    (1, 1, 1, 1),
    (2, 1, 1, 2),
    ((2, 1), (0, 2), (1, 2), 1),
    (3, "same", 1, 1),
    (1, "same", 2, 2),
    (2, 3, 1, 4),  # more padding than the kernel reaches
    (3, "valid", 1, 1),  # the last pixels are read by no window
]


def _inputs(groups: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    shapes = (2, 4, 7, 6), (8, 4 // groups, 3, 2), (8,)
    x, weight, bias = (torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes)
    return x, weight, bias


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), CASES)
def test_gradients_equal_finite_differences_twice(stride, padding, dilation, groups) -> None:
    def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return ops.conv2d(x, weight, bias, stride, padding, dilation, groups, engine="handmade")

    torch.manual_seed(0)
    shapes = (1, 4, 5, 4), (4, 4 // groups, 2, 2), (4,)
    inputs = tuple(torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    assert gradcheck(convolve, inputs)
    assert gradgradcheck(convolve, inputs)


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), CASES)
def test_engines_agree(stride, padding, dilation, groups) -> None:
    x, weight, bias = _inputs(groups)
    with torch.no_grad():
        truth = ops.conv2d(x, weight, bias, stride, padding, dilation, groups, engine="reference")
    results = {}
    for name in ("handmade", "native"):
        y = ops.conv2d(x, weight, bias, stride, padding, dilation, groups, engine=name)
        torch.testing.assert_close(y, truth)
        results[name] = torch.autograd.grad(y.sin().sum(), (x, weight, bias))
    torch.testing.assert_close(results["handmade"], results["native"])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_handmade_equals_torch_for_any_shape_dtype_and_layout(data) -> None:
    N, H, W = (data.draw(st.integers(low, 9), label=name) for low, name in ((0, "N"), (1, "H"), (1, "W")))
    K, s, P, d = (
        data.draw(st.tuples(st.integers(low, high), st.integers(low, high)))
        for low, high in ((1, 3), (1, 3), (0, 3), (1, 2))
    )
    groups = data.draw(st.sampled_from([1, 2, 3]))
    C_in, C_out = groups * data.draw(st.integers(1, 3)), groups * data.draw(st.integers(1, 3))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
    layout = data.draw(st.sampled_from([torch.contiguous_format, torch.channels_last]))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    # Whole numbers below 4: products and sums are exact even in bfloat16, up to the final rounding.
    x = torch.randint(-3, 4, (N, C_in, H, W), generator=generator).to(dtype).contiguous(memory_format=layout)
    weight = torch.randint(-3, 4, (C_out, C_in // groups, *K), generator=generator).to(dtype)
    bias = torch.randint(-3, 4, (C_out,), generator=generator).to(dtype)
    fits = all(size + 2 * p >= e * (k - 1) + 1 for size, k, p, e in zip((H, W), K, P, d, strict=True))
    if not fits:
        with pytest.raises(ValueError, match="spans"):
            ops.conv2d(x, weight, bias, s, P, d, groups, engine="handmade")
        return
    leaves = [t.clone(memory_format=torch.preserve_format).requires_grad_() for t in (x, weight, bias)]
    y = ops.conv2d(*leaves, s, P, d, groups, engine="handmade")
    grad = torch.randint(-3, 4, y.shape, generator=generator).to(dtype)
    got = torch.autograd.grad(y, leaves, grad)
    wide = [t.double().requires_grad_() for t in (x, weight, bias)]
    expected = F.conv2d(*wide, s, P, d, groups)
    assert y.dtype == dtype
    torch.testing.assert_close(y, expected.to(dtype))
    for mine, truth in zip(got, torch.autograd.grad(expected, wide, grad.double()), strict=True):
        torch.testing.assert_close(mine, truth.to(dtype))


def test_layout_of_the_output_follows_the_input() -> None:
    x, weight, _ = _inputs(1)
    assert ops.conv2d(x, weight, engine="handmade").is_contiguous()
    last = x.detach().contiguous(memory_format=torch.channels_last)
    assert ops.conv2d(last, weight, engine="handmade").is_contiguous(memory_format=torch.channels_last)


def test_a_batch_larger_than_one_chunk(monkeypatch) -> None:
    x, weight, bias = (t.detach().float().requires_grad_() for t in _inputs(2))
    whole = ops.conv2d(x, weight, bias, padding=1, groups=2, engine="handmade")
    whole_gradients = torch.autograd.grad(whole.sin().sum(), (x, weight, bias))
    monkeypatch.setattr(import_module("plusx.ops.convolution.columns"), "CHUNK_BYTES", 1)
    single = ops.conv2d(x, weight, bias, padding=1, groups=2, engine="handmade")
    torch.testing.assert_close(single, whole)
    torch.testing.assert_close(torch.autograd.grad(single.sin().sum(), (x, weight, bias)), whole_gradients)


def test_only_the_needed_gradients(monkeypatch) -> None:
    def unneeded(*_: object, **__: object) -> torch.Tensor:
        raise AssertionError("nobody asked for the picture's gradient")

    monkeypatch.setattr("plusx.ops.convolution.conv.input_gradient", unneeded)
    x, weight, _ = _inputs(1)
    y = ops.conv2d(x.detach(), weight, engine="handmade")
    (grad,) = torch.autograd.grad(y.sum(), weight)
    torch.testing.assert_close(grad, torch.autograd.grad(F.conv2d(x, weight).sum(), weight)[0])
    with pytest.raises(AssertionError, match="nobody asked"):
        torch.autograd.grad(ops.conv2d(x, weight, engine="handmade").sum(), x)


def test_an_exported_program_takes_batches_of_any_size_and_needs_no_plusx() -> None:
    layer = nn.Conv2d(32, 32, 3, padding=1)
    batch = torch.export.Dim("N", min=1, max=4096)
    program = torch.export.export(layer, (torch.zeros(2, 32, 32, 32),), dynamic_shapes={"x": {0: batch}})
    assert "plusx" not in str(program.graph)
    x = torch.randn(5, 32, 32, 32)
    torch.testing.assert_close(program.module()(x), layer(x), rtol=1e-3, atol=1e-4)


def test_one_picture_without_a_batch() -> None:
    x, weight, bias = _inputs(1)
    for name in ("handmade", "native"):
        torch.testing.assert_close(ops.conv2d(x[0], weight, bias, engine=name), F.conv2d(x[0], weight, bias))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_autocast_gives_the_dtype_torch_gives(dtype) -> None:
    x, weight, bias = (t.detach().to(dtype).requires_grad_() for t in _inputs(1))
    outputs, gradients = {}, {}
    for name in ("reference", "handmade", "native"):
        with torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(name != "reference"):
            outputs[name] = ops.conv2d(x, weight, bias, padding=1, engine=name)
        if name != "reference":
            gradients[name] = torch.autograd.grad(outputs[name].float().square().mean(), (x, weight, bias))
    assert outputs["handmade"].dtype == outputs["native"].dtype == outputs["reference"].dtype
    torch.testing.assert_close(outputs["handmade"], outputs["reference"])
    for mine, theirs in zip(gradients["handmade"], gradients["native"], strict=True):
        assert mine.dtype == theirs.dtype == dtype
        torch.testing.assert_close(mine, theirs, rtol=2e-2, atol=2e-3)


def test_a_backward_under_autocast_keeps_the_dtypes_of_its_forward() -> None:
    x, weight, _ = (t.detach().float().requires_grad_() for t in _inputs(1))
    y = ops.conv2d(x, weight, engine="handmade").sum()
    with torch.autocast("cpu", torch.bfloat16):
        got = torch.autograd.grad(y, (x, weight))
    torch.testing.assert_close(got, torch.autograd.grad(F.conv2d(x, weight).sum(), (x, weight)))


def test_compiles_in_one_graph_with_its_gradients() -> None:
    x, weight, bias = (t.detach().float().requires_grad_() for t in _inputs(2))

    def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return ops.conv2d(x, weight, bias, 2, 1, 1, 2, engine="handmade").sin().sum()

    compiled = torch.compile(convolve, backend="aot_eager", fullgraph=True)
    got = torch.autograd.grad(compiled(x, weight, bias), (x, weight, bias))
    torch.testing.assert_close(got, torch.autograd.grad(convolve(x, weight, bias), (x, weight, bias)))


def test_the_operators_keep_torchs_rules() -> None:
    x, weight, bias = (t.detach() for t in _inputs(2))
    for picture in (x, x.contiguous(memory_format=torch.channels_last)):
        args = (picture, weight, bias, (7, 6), (1, 1), (1, 1), (1, 1), 2)
        torch.library.opcheck(torch.ops.plusx.convolve.default, args)
        grad = torch.randn(2, 8, 7, 6, dtype=x.dtype)
        args = (picture, grad, (3, 2), (1, 1), (1, 1), (1, 1), 2)
        torch.library.opcheck(torch.ops.plusx.weight_gradient.default, args)
        for d, groups, kernel in ((1, 2, weight), (1, 1, torch.cat([weight, weight], 1)), (2, 2, weight)):
            args = (grad, kernel, tuple(picture.shape[2:]), (1, 1), (1, 1), (d, d), groups)
            torch.library.opcheck(torch.ops.plusx.input_gradient.default, args)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_inputs_gradient_by_col2im_equals_torchs(data) -> None:
    N, C_in, C_out = (data.draw(st.integers(1, high)) for high in (3, 4, 4))
    H, W = (data.draw(st.integers(1, 9)) for _ in range(2))
    K, s = (data.draw(st.tuples(st.integers(1, 4), st.integers(1, 3))) for _ in range(2))
    P = tuple(data.draw(st.integers(0, k)) for k in K)
    d_h = data.draw(st.integers(1, 2))
    spans = (d_h * (K[0] - 1) + 1, K[1])
    assume(all(length + 2 * p >= reach for length, p, reach in zip((H, W), P, spans, strict=True)))
    x = torch.randn(N, C_in, H, W, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(C_out, C_in, *K, dtype=torch.float64)
    y = F.conv2d(x, weight, None, s, P, (d_h, 1))
    grad = torch.randn_like(y).contiguous(
        memory_format=data.draw(st.sampled_from([torch.contiguous_format, torch.channels_last]))
    )
    (truth,) = torch.autograd.grad(y, x, grad)
    torch.testing.assert_close(columns.col2im(grad, weight, (H, W), s, P, (d_h, 1)), truth)


@pytest.mark.parametrize(
    ("shapes", "groups", "message"),
    [
        (((1, 3, 5, 5), (4, 2, 3, 3), (4,)), 1, "3 input channels do not fit"),
        (((1, 4, 5, 5), (3, 2, 3, 3), (3,)), 2, "in 2 groups"),
        (((1, 3, 5, 5), (4, 3, 3, 3), (3,)), 1, r"bias must be \(4,\)"),
        (((3, 5), (4, 3, 3, 3), (4,)), 1, "2-D and 4-D"),
        (((1, 3, 2, 5), (4, 3, 3, 3), (4,)), 1, "spans 3 pixels, more than size 2"),
    ],
)
def test_sizes_that_do_not_fit_are_named(shapes, groups, message) -> None:
    x, weight, bias = (torch.zeros(shape) for shape in shapes)
    for name in ("reference", "handmade", "native"):
        with pytest.raises(ValueError, match=message):
            ops.conv2d(x, weight, bias, groups=groups, engine=name)


@pytest.mark.parametrize("engine", ["reference", "handmade", "native", None])
@pytest.mark.parametrize("wrong", [1, 2])
def test_dtypes_that_do_not_fit_are_named(engine, wrong) -> None:
    inputs = [torch.zeros(20, 64, 16, 16), torch.zeros(64, 64, 3, 3), torch.zeros(64)]
    inputs[wrong] = inputs[wrong].double()
    with pytest.raises(ValueError, match=r"must have one dtype; got float32, .*float64"):
        ops.conv2d(*inputs, padding=1, engine=engine)


def test_no_channels_come_in_and_zeros_go_out() -> None:
    y = ops.conv2d(torch.randn(2, 0, 5, 5), torch.randn(3, 0, 3, 3), engine="handmade")
    assert torch.equal(y, torch.zeros(2, 3, 3, 3))


class _OnlyTorchs(Tensor):
    """Knows PyTorch's convolution, and no operation of ours."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        assert "plusx" not in str(func)
        return super().__torch_function__(func, types, args, kwargs or {})


def test_a_subclass_meets_no_operation_of_ours_unless_asked() -> None:
    x, weight = torch.randn(32, 32, 16, 16), torch.randn(32, 32, 3, 3)
    y = ops.conv2d(x.as_subclass(_OnlyTorchs), weight, padding=1)
    torch.testing.assert_close(y.as_subclass(Tensor), F.conv2d(x, weight, padding=1))
