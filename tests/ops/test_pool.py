"""Pooling: three engines, torch and finite differences against each other."""

from importlib import import_module

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from plusx import ops
from plusx.ops import loops

CASES = [
    # kernel_size, stride, padding, ceil_mode
    (2, None, 0, False),
    (3, 2, 1, True),
    ((3, 2), (1, 2), 1, True),
    (3, 1, "same", False),
    (2, 2, "same", True),
    (2, 3, "valid", True),
]


def _picture(*shape: int) -> Tensor:
    return torch.randn(
        shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True
    )


@pytest.mark.parametrize("name", ["reference", "handmade", "native"])
def test_the_lessons_example(name) -> None:
    lesson = torch.tensor([[1.0, 4, 2, 8], [3, 9, 5, 7], [2, 6, 4, 1], [5, 3, 7, 2]])[None, None]
    assert ops.max_pool2d(lesson, 2, engine=name).tolist() == [[[[9, 8], [6, 7]]]]
    assert ops.avg_pool2d(lesson, 2, engine=name).tolist() == [[[[4.25, 5.5], [4, 3.5]]]]
    assert ops.global_max_pool2d(lesson, engine=name).tolist() == [[[[9]]]]
    assert ops.global_avg_pool2d(lesson, engine=name).tolist() == [[[[69 / 16]]]]


@pytest.mark.parametrize(("kernel_size", "stride", "padding", "ceil_mode"), CASES)
@pytest.mark.parametrize("compiled", [True, False])
def test_engines_agree_and_gradients_equal_finite_differences_twice(
    kernel_size, stride, padding, ceil_mode, compiled, monkeypatch
) -> None:
    if not compiled:
        monkeypatch.setattr(loops, "suits", lambda *tensors: False)
    x = _picture(2, 2, 5, 6)
    functions = [
        lambda x, name: ops.max_pool2d(x, kernel_size, stride, padding, 1, ceil_mode, engine=name),
        lambda x, name: ops.avg_pool2d(x, kernel_size, stride, padding, ceil_mode, True, engine=name),
        lambda x, name: ops.avg_pool2d(x, kernel_size, stride, padding, ceil_mode, False, engine=name),
    ]
    for pool in functions:
        truth = pool(x.detach(), "reference")
        torch.testing.assert_close(pool(x, "handmade"), truth)
        torch.testing.assert_close(pool(x, "native"), truth)
        handmade, native = (
            torch.autograd.grad(pool(x, name).sin().sum(), x) for name in ("handmade", "native")
        )
        torch.testing.assert_close(handmade, native)
        assert gradcheck(lambda x, pool=pool: pool(x, "handmade"), (x,))
        assert gradgradcheck(lambda x, pool=pool: pool(x, "handmade"), (x,))


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("pool", [ops.global_max_pool2d, ops.global_avg_pool2d])
def test_global_pooling(pool, compiled, monkeypatch) -> None:
    if not compiled:
        monkeypatch.setattr(loops, "suits", lambda *tensors: False)
    x = _picture(2, 3, 4, 5)
    truth = pool(x.detach(), engine="reference")
    assert truth.shape == (2, 3, 1, 1)
    for name in ("handmade", "native"):
        torch.testing.assert_close(pool(x, engine=name), truth)
    assert gradcheck(lambda x: pool(x, engine="handmade"), (x,))
    assert gradgradcheck(lambda x: pool(x, engine="handmade"), (x,))
    with pytest.raises(ValueError, match="at least one pixel"):
        pool(torch.zeros(1, 1, 0, 3))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_global_maxima_equal_torchs_for_any_shape_dtype_and_layout(data) -> None:
    N, H, W = (data.draw(st.integers(1, most)) for most in (5, 25, 25))
    C = data.draw(st.sampled_from([1, 3, 8, 33]))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
    layout = data.draw(st.sampled_from([torch.contiguous_format, torch.channels_last]))
    special = data.draw(st.sampled_from([0.0, torch.nan, torch.inf, -torch.inf]))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    x = torch.randint(-2, 3, (N, C, H, W), generator=generator).to(dtype)
    x = x.masked_fill(torch.rand(x.shape, generator=generator) < 0.02, special)
    x = x.contiguous(memory_format=layout)
    a, b = (x.clone(memory_format=torch.preserve_format).requires_grad_() for _ in range(2))
    y, expected = ops.global_max_pool2d(a, engine="handmade"), F.adaptive_max_pool2d(b, 1)
    torch.testing.assert_close(y, expected, rtol=0, atol=0, equal_nan=True)
    grad = torch.randn(y.shape, generator=generator).to(dtype)
    mine, theirs = torch.autograd.grad(y, a, grad)[0], torch.autograd.grad(expected, b, grad)[0]
    torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("vectors", ["AVX2", "AVX512"])
@pytest.mark.parametrize("W", [16, 48, 60])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_maxima_of_tiles_in_rows_of_any_length(vectors, W, dtype, monkeypatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: vectors)
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-2, 3, (2, 3, 6, W), generator=generator).to(dtype)
    x = x.masked_fill(torch.rand(x.shape, generator=generator) < 0.1, torch.nan)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, expected = ops.max_pool2d(a, 2, engine="handmade"), F.max_pool2d(b, 2)
    torch.testing.assert_close(y, expected, rtol=0, atol=0, equal_nan=True)
    grad = torch.randn(y.shape, generator=generator).to(dtype)
    mine, theirs = torch.autograd.grad(y, a, grad)[0], torch.autograd.grad(expected, b, grad)[0]
    torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_handmade_equals_torch_for_any_shape_dtype_and_layout(data) -> None:
    N, H, W = (data.draw(st.integers(low, high)) for low, high in ((0, 3), (1, 9), (1, 9)))
    C = data.draw(st.sampled_from([1, 3, 8, 33]))
    # Each kind of window and type is compiled anew, so few of them; float64 has tests of its own.
    K = data.draw(st.sampled_from([(1, 1), (2, 2), (3, 3), (2, 3), (4, 1), (4, 4)]))
    s = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    d = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    P = tuple(data.draw(st.integers(0, k // 2)) for k in K)
    ceil_mode, include = data.draw(st.booleans()), data.draw(st.booleans())
    dtype = data.draw(st.sampled_from([torch.float32, torch.bfloat16]))
    layout = data.draw(st.sampled_from([torch.contiguous_format, torch.channels_last]))
    special = data.draw(st.sampled_from([0.0, torch.nan, torch.inf, -torch.inf]))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    # Few different values, so that ties are the rule.
    x = torch.randint(-2, 3, (N, C, H, W), generator=generator).to(dtype)
    x = x.masked_fill(torch.rand(x.shape, generator=generator) < 0.2, special).contiguous(
        memory_format=layout
    )
    for mine, theirs in (
        (
            lambda x: ops.max_pool2d(x, K, s, P, d, ceil_mode, engine="handmade"),
            lambda x: F.max_pool2d(x, K, s, P, d, ceil_mode),
        ),
        (
            lambda x: ops.avg_pool2d(x, K, s, P, ceil_mode, include, engine="handmade"),
            lambda x: F.avg_pool2d(x, K, s, P, ceil_mode, include),
        ),
    ):
        try:
            theirs(x)
        except RuntimeError:  # no window fits
            with pytest.raises(ValueError, match="spans"):
                mine(x)
            continue
        # Torch computes in float64: in bfloat16 it adds up the shares of a gradient with rounding in between.
        a, b = x.clone(memory_format=torch.preserve_format).requires_grad_(), x.double().requires_grad_()
        y, expected = mine(a), theirs(b)
        assert y.dtype == dtype
        torch.testing.assert_close(y, expected.to(dtype), equal_nan=True)
        if theirs(torch.zeros_like(b)).isneginf().any():
            continue  # a window of padding alone: torch sends its gradient to a pixel it never read
        grad = torch.randint(-3, 4, y.shape, generator=generator).to(dtype)
        (got,), (truth,) = torch.autograd.grad(y, a, grad), torch.autograd.grad(expected, b, grad.double())
        torch.testing.assert_close(got, truth.to(dtype))


@pytest.mark.parametrize("C", [5, 11, 16, 21])
def test_float64_with_channels_last_equals_torch(C) -> None:
    x = _picture(2, C, 9, 8).detach().contiguous(memory_format=torch.channels_last)
    for mine, theirs in ((ops.max_pool2d, F.max_pool2d), (ops.avg_pool2d, F.avg_pool2d)):
        a, b = (x.clone(memory_format=torch.preserve_format).requires_grad_() for _ in range(2))
        y, expected = mine(a, 3, 2, 1, engine="handmade"), theirs(b, 3, 2, 1)
        torch.testing.assert_close(y, expected)
        (got,), (truth,) = (torch.autograd.grad(z.square().sum(), x) for z, x in ((y, a), (expected, b)))
        torch.testing.assert_close(got, truth)


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: ops.max_pool2d(x, 2, engine="handmade"),
        lambda x: ops.avg_pool2d(x, 2, engine="handmade"),
        lambda x: ops.global_max_pool2d(x, engine="handmade"),
    ],
)
def test_a_gradient_has_a_graph_only_where_one_is_asked_for(pool) -> None:
    x = _picture(1, 1, 4, 4)
    y = pool(x)
    (alone,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    (differentiable,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    assert not alone.requires_grad
    assert differentiable.requires_grad


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("K", "s", "size"), [((5, 5), 2, 21), ((15, 17), 6, 40), ((16, 16), 6, 40)])
def test_windows_of_many_taps(K, s, size, layout) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-9, 10, (2, 3, size, size), generator=generator).float()
    a, b = (x.clone().contiguous(memory_format=layout).requires_grad_() for _ in range(2))
    y, expected = ops.max_pool2d(a, K, s, engine="handmade"), F.max_pool2d(b, K, s)
    torch.testing.assert_close(y, expected, rtol=0, atol=0)
    grad = torch.randint(-9, 10, y.shape, generator=generator).float()
    mine, theirs = torch.autograd.grad(y, a, grad)[0], torch.autograd.grad(expected, b, grad)[0]
    torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("size", [(70, 50), (6, 3000), (300, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("K", "s", "P", "d"), [(3, 2, 1, 1), (2, 3, 1, 2), ((2, 3), (5, 1), 0, 1)])
def test_planes_that_are_turned_over_strip_by_strip(size, dtype, K, s, P, d) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-9, 10, (3, 7, *size), generator=generator).to(dtype)  # 21 planes: not a multiple of 8
    for mine, theirs in (
        (
            lambda x: ops.max_pool2d(x, K, s, P, d, engine="handmade"),
            lambda x: F.max_pool2d(x, K, s, P, d),
        ),
        (lambda x: ops.avg_pool2d(x, K, s, P, engine="handmade"), lambda x: F.avg_pool2d(x, K, s, P)),
    ):
        a, b = x.clone().requires_grad_(), x.double().requires_grad_()
        y, expected = mine(a), theirs(b)
        torch.testing.assert_close(y, expected.to(dtype))
        grad = torch.randint(-3, 4, y.shape, generator=generator).to(dtype)
        (got,), (truth,) = torch.autograd.grad(y, a, grad), torch.autograd.grad(expected, b, grad.double())
        torch.testing.assert_close(got, truth.to(dtype))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("special", [-torch.inf, torch.nan])
def test_the_maximum_of_a_large_map_is_the_first_and_nan_the_last(layout, special) -> None:
    x = torch.zeros(1, 9, 80, 70).contiguous(memory_format=layout)
    x[:, :, 40:, 3] = special
    x[:, 4] = -torch.inf
    x.requires_grad_()
    y = ops.global_max_pool2d(x, engine="handmade")
    expected = F.adaptive_max_pool2d(x, 1)
    torch.testing.assert_close(y, expected, rtol=0, atol=0, equal_nan=True)
    mine, theirs = (torch.autograd.grad(z, x, torch.ones_like(z))[0] for z in (y, expected))
    assert torch.equal(mine, theirs)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(1, 5), (5, 1), (1, 1)])
def test_a_window_that_steps_over_the_picture_sends_its_gradient_nowhere(size, layout) -> None:
    x = torch.ones(2, 3, *size).contiguous(memory_format=layout).requires_grad_()
    y = ops.max_pool2d(x, (2, 2), 1, 1, 2, engine="handmade")
    assert y.isneginf().any()
    assert torch.equal(y, ops.max_pool2d(x.detach(), (2, 2), 1, 1, 2, engine="reference"))
    (grad,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert grad.sum() == y.isfinite().sum()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("pool", [ops.max_pool2d, ops.avg_pool2d])
def test_a_stride_of_no_account_takes_no_memory(pool, layout) -> None:
    x = torch.arange(90.0).reshape(1, 1, 9, 10).contiguous(memory_format=layout)
    y = pool(x, 2, 100_000, engine="handmade")
    torch.testing.assert_close(y, pool(x, 2, 100_000, engine="native"))


@pytest.mark.parametrize("pool", [ops.max_pool2d, ops.avg_pool2d])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_window_larger_than_the_picture_in_ceil_mode(pool, layout) -> None:
    x = torch.arange(24.0).reshape(2, 3, 2, 2).contiguous(memory_format=layout).requires_grad_()
    grad = torch.arange(6.0).reshape(2, 3, 1, 1)
    results = []
    for engine in ("handmade", "native"):
        y = pool(x, 3, 2, ceil_mode=True, engine=engine)
        results.append((y, *torch.autograd.grad(y, x, grad)))
    assert results[0][0].shape == (2, 3, 1, 1)
    torch.testing.assert_close(*results)
    with torch.no_grad():
        torch.testing.assert_close(pool(x, 3, 2, ceil_mode=True, engine="reference"), results[0][0])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_mean_of_a_large_map_keeps_its_digits(layout) -> None:
    x = torch.rand(1, 3, 600, 600, generator=torch.Generator().manual_seed(0)).contiguous(
        memory_format=layout
    )
    y = ops.global_avg_pool2d(x, engine="handmade")
    torch.testing.assert_close(y.double(), x.double().mean((2, 3), keepdim=True), rtol=4e-7, atol=0)


@pytest.mark.parametrize("pool", [ops.max_pool2d, ops.avg_pool2d])
def test_another_default_device_changes_nothing(pool) -> None:
    x = torch.rand(2, 3, 13, 11)
    with torch.device("meta"):
        y = pool(x, 3, 2, 1)
    assert torch.equal(y, pool(x, 3, 2, 1))


def test_sizes_may_be_numpys() -> None:
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(ops.max_pool2d(x, np.int64(2)), ops.max_pool2d(x, 2))


@pytest.mark.filterwarnings("ignore")
def test_a_program_that_is_traced_or_counted_has_torchs_operations() -> None:
    def net(x: Tensor) -> Tensor:
        y = ops.max_pool2d(ops.batch_norm(x, torch.zeros(16), torch.ones(16)), 2)
        return ops.global_avg_pool2d(ops.conv2d(y, torch.ones(16, 16, 3, 3), padding=1))

    x, other = torch.rand(2, 16, 32, 32), torch.rand(2, 16, 32, 32)
    for traced in (make_fx(net)(x), torch.jit.trace(net, x)):
        torch.testing.assert_close(traced(other), net(other), rtol=1e-4, atol=1e-4)
    with FlopCounterMode(display=False) as counted:
        net(x)
    assert counted.get_total_flops() == 2 * 2 * 16 * 16 * 16 * 16 * 9


@pytest.mark.parametrize("pool", [ops.global_max_pool2d, ops.global_avg_pool2d])
@pytest.mark.parametrize("engine", ["reference", "handmade", "native"])
def test_global_pools_of_one_picture(pool, engine) -> None:
    x = torch.arange(12.0).reshape(3, 2, 2)
    assert torch.equal(pool(x, engine=engine), pool(x[None], engine=engine)[0])


def test_ties_go_to_the_first_and_nan_passes() -> None:
    x = torch.tensor([[1.0, 5.0, 5.0], [5.0, 0.0, torch.nan]])[None, None].requires_grad_()
    y = ops.max_pool2d(x, 2, 1, engine="handmade")
    assert y[0, 0, 0, 0] == 5
    assert y[0, 0, 0, 1].isnan()
    (grad,) = torch.autograd.grad(y, x, torch.tensor([[[[10.0, 20.0]]]]))
    assert grad.tolist() == [[[[0, 10, 0], [0, 0, 20]]]]
    flat = torch.full((1, 1, 2, 2), 3.0, requires_grad=True)
    assert torch.autograd.grad(ops.global_max_pool2d(flat, engine="handmade"), flat)[0].tolist() == [
        [[[1, 0], [0, 0]]]
    ]


def test_a_window_of_minus_infinity_sends_its_gradient_to_a_real_pixel() -> None:
    x = torch.full((1, 1, 4, 4), -torch.inf, requires_grad=True)
    handmade, native = (
        torch.autograd.grad(ops.max_pool2d(x, 3, 2, 1, engine=name).sum(), x)[0]
        for name in ("handmade", "native")
    )
    assert torch.equal(handmade, native)
    assert handmade.sum() == 4


def test_a_batch_larger_than_one_chunk(monkeypatch) -> None:
    x = _picture(5, 2, 6, 6)
    monkeypatch.setattr(loops, "suits", lambda *tensors: False)
    for pool in (
        lambda: ops.max_pool2d(x, 3, 2, 1, engine="handmade"),
        lambda: ops.avg_pool2d(x, 3, 2, 1, engine="handmade"),
    ):
        whole = pool()
        whole_gradient = torch.autograd.grad(whole.sin().sum(), x)
        with monkeypatch.context() as patch:
            patch.setattr(import_module("plusx.ops.chunks"), "CHUNK_BYTES", 1)
            assert torch.equal(pool(), whole)
            torch.testing.assert_close(torch.autograd.grad(pool().sin().sum(), x), whole_gradient)


def test_layout_of_the_output_and_the_gradient_follow_the_input() -> None:
    for layout in (torch.contiguous_format, torch.channels_last):
        x = _picture(2, 3, 4, 4).detach().contiguous(memory_format=layout).requires_grad_()
        for pool in (ops.max_pool2d, ops.avg_pool2d):
            y = pool(x, 2, engine="handmade")
            assert y.is_contiguous(memory_format=layout)
            assert torch.autograd.grad(y.sum(), x)[0].is_contiguous(memory_format=layout)


def test_one_picture_without_a_batch() -> None:
    x = _picture(2, 5, 5)
    torch.testing.assert_close(ops.max_pool2d(x, 2, engine="handmade"), F.max_pool2d(x, 2))
    torch.testing.assert_close(ops.avg_pool2d(x, 2, engine="handmade"), F.avg_pool2d(x, 2))


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: ops.max_pool2d(x, 3, 2, 1, engine="handmade"),
        lambda x: ops.avg_pool2d(x, 3, 2, 1, engine="handmade"),
        lambda x: ops.global_max_pool2d(x, engine="handmade"),
        lambda x: ops.global_avg_pool2d(x, engine="handmade"),
    ],
)
def test_compiles_in_one_graph_with_its_gradient(pool) -> None:
    x = _picture(2, 3, 6, 6)
    compiled = torch.compile(lambda x: pool(x).sin().sum(), backend="aot_eager", fullgraph=True)
    got = torch.autograd.grad(compiled(x), x)
    torch.testing.assert_close(got, torch.autograd.grad(pool(x).sin().sum(), x))


def test_arguments_out_of_range_are_named() -> None:
    x = torch.zeros(1, 1, 4, 4)
    for name in ("reference", "handmade", "native"):
        with pytest.raises(ValueError, match="padding 2 is more than half of the window, which spans 3"):
            ops.max_pool2d(x, 3, padding=2, engine=name)
        with pytest.raises(ValueError, match="spans 5 pixels, more than size 4"):
            ops.avg_pool2d(x, 5, engine=name)
        with pytest.raises(ValueError, match="must be"):
            ops.max_pool2d(x[0, 0], 2, engine=name)


def test_what_was_pooled_first_in_inference_can_be_differentiated_later() -> None:
    x = torch.rand(1, 1, 11, 13, requires_grad=True)
    with torch.inference_mode():
        ops.avg_pool2d(x, 3, 2, 1, engine="handmade")
    ops.avg_pool2d(x, 3, 2, 1, engine="handmade").sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.uint8])
@pytest.mark.parametrize("name", [None, "reference", "handmade", "native"])
def test_the_largest_of_whole_numbers_is_one(name, dtype) -> None:
    lowest = torch.iinfo(dtype).min
    x = torch.tensor([[[1, lowest], [lowest, lowest]]], dtype=dtype)
    assert ops.max_pool2d(x, 2, 1, "same", engine=name).tolist() == [[[1, lowest], [lowest, lowest]]]
    assert ops.max_pool2d(x, 2, 1, 1, engine=name).tolist() == [
        [[1, 1, lowest], [1, 1, lowest], [lowest, lowest, lowest]]
    ]
    largest = ops.global_max_pool2d(x, engine=name)
    assert (largest.dtype, largest.tolist()) == (dtype, [[[1]]])


@pytest.mark.parametrize("name", [None, "reference", "handmade", "native"])
def test_means_of_whole_numbers_are_refused(name) -> None:
    x = torch.ones(1, 2, 2, dtype=torch.int64)
    for pool in (ops.global_avg_pool2d, lambda x, engine: ops.avg_pool2d(x, 2, engine=engine)):
        with pytest.raises(ValueError, match=r"real numbers; got torch.int64, use x.float\(\)"):
            pool(x, engine=name)


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(
    ("size", "arguments"),
    [
        ((8, 8), (3, 1, "same", 2)),  # more padding than half of K, no more than half of the window
        ((8, 8), (5, 3, (3, 1), 2)),
        ((1, 2), (2, (5, 4), 3, 6)),  # a window that steps over the picture
    ],
)
def test_the_native_maximum_takes_every_dilated_window(size, arguments, ceil_mode) -> None:
    x = torch.randn(2, 3, *size, requires_grad=True)
    results = []
    for engine in ("native", "handmade"):
        y = ops.max_pool2d(x, *arguments, ceil_mode, engine=engine)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        results.append((y, gradient))
    (native, native_gradient), (handmade, gradient) = results
    assert torch.equal(native, handmade)
    assert torch.equal(native_gradient, gradient)
