"""The Triton kernels in Triton's interpreter, TRITON_INTERPRET=1; test_gpu.py runs this file in a process."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from plusx import ops
from plusx.ops import gpu
from plusx.ops.activation import ACTIVATIONS
from plusx.ops.normalisation import fused
from plusx.ops.normalisation import on_gpu as norm_on_gpu
from plusx.ops.pooling import on_gpu as pool_on_gpu
from plusx.ops.pooling.ways import way_for
from plusx.ops.pooling.windows import PoolGeometry

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def test_kernels_suit_here() -> None:
    assert gpu.interpreted()
    assert gpu.suits(torch.zeros(1))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_pooling_equals_torchs(data) -> None:
    N, C, H, W = (data.draw(st.integers(1, high)) for high in (2, 3, 7, 7))
    K, s = (data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) for _ in range(2))
    d = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    P = tuple(data.draw(st.integers(0, k // 2)) for k in K)
    ceil_mode, include = data.draw(st.booleans()), data.draw(st.booleans())
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
    layout = data.draw(st.sampled_from(LAYOUTS))
    special = data.draw(st.sampled_from([0.0, torch.nan, torch.inf, -torch.inf]))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    x = torch.randint(-2, 3, (N, C, H, W), generator=generator).to(dtype)
    x = x.masked_fill(torch.rand(x.shape, generator=generator) < 0.2, special).contiguous(
        memory_format=layout
    )
    for mine, theirs, dilation in (
        (
            lambda x: ops.max_pool2d(x, K, s, P, d, ceil_mode, engine="handmade"),
            lambda x: F.max_pool2d(x, K, s, P, d, ceil_mode),
            d,
        ),
        (
            lambda x: ops.avg_pool2d(x, K, s, P, ceil_mode, include, engine="handmade"),
            lambda x: F.avg_pool2d(x, K, s, P, ceil_mode, include),
            (1, 1),
        ),
    ):
        if any(size + 2 * p < e * (k - 1) + 1 for size, k, p, e in zip((H, W), K, P, dilation, strict=True)):
            continue
        a, b = x.clone(memory_format=torch.preserve_format).requires_grad_(), x.double().requires_grad_()
        y, expected = mine(a), theirs(b)
        # The interpreter cuts a bfloat16 off instead of rounding it, a GPU does not: one step apart is equal.
        tolerance = (
            {"rtol": 2**-7, "atol": 2**-7} if dtype == torch.bfloat16 else {"rtol": 1e-6, "atol": 1e-6}
        )
        torch.testing.assert_close(y, expected.to(dtype), equal_nan=True, **tolerance)
        if theirs(torch.zeros_like(b)).isneginf().any():
            continue  # a window of padding alone: torch sends its gradient to a pixel it never read
        grad = torch.randint(-3, 4, y.shape, generator=generator).to(dtype)
        (got,), (truth,) = torch.autograd.grad(y, a, grad), torch.autograd.grad(expected, b, grad.double())
        torch.testing.assert_close(got, truth.to(dtype), **tolerance)


def test_pooling_goes_by_the_kernels(monkeypatch) -> None:
    launched = []
    run = pool_on_gpu._run
    monkeypatch.setattr(
        pool_on_gpu, "_run", lambda kernel, *a, **k: launched.append(kernel) or run(kernel, *a, **k)
    )
    x = torch.rand(1, 2, 4, 4, requires_grad=True)
    for pool in (ops.max_pool2d, ops.avg_pool2d):
        torch.autograd.grad(pool(x, 2, engine="handmade").sum(), x)
    assert len(launched) == 4
    assert way_for(x, PoolGeometry((9, 9), (1, 1), (0, 0), (1, 1), (1, 1))) is not pool_on_gpu


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_normalisation_equals_torchs_three_layers(data) -> None:
    N, C, H, W = (data.draw(st.integers(low, 6)) for low in (2, 1, 1, 1))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    training, affine, shortcut = (data.draw(st.booleans()) for _ in range(3))
    activation = data.draw(st.sampled_from(sorted(ACTIVATIONS)))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def picture() -> torch.Tensor:
        return random(N, C, H, W).to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()

    x, added = picture(), picture() if shortcut else None
    weight, bias = (random(C).to(dtype).requires_grad_() if affine else None for _ in range(2))
    running = [torch.full((C,), value, dtype=dtype) for value in (0.5, 2.0)]
    assert fused.suits(x, added)
    assert fused._passes(x) is norm_on_gpu
    mine = [r.clone() for r in running]
    y = ops.batch_norm(
        x, *mine, weight, bias, training, 0.3, added=added, activation=activation, engine="handmade"
    )
    leaves = [t for t in (x, weight, bias, added) if t is not None]
    grad = random(N, C, H, W).to(dtype)
    got = torch.autograd.grad(y, leaves, grad)

    theirs = [r.double() for r in running]
    copies = [None if t is None else t.detach().double().requires_grad_() for t in (x, weight, bias, added)]
    truth = F.batch_norm(copies[0], *theirs, copies[1], copies[2], training, 0.3)
    truth = truth if added is None else truth + copies[3]
    if activation == "relu":
        open_ = torch.where(truth.abs() < 1e-3, y > 0, truth > 0)  # near 0 rounding may decide either way
        truth = torch.where(open_, truth, 0 * truth)
    truth = F.hardswish(truth) if activation == "hardswish" else truth
    expected = torch.autograd.grad(truth, [t for t in copies if t is not None], grad.double())
    for a, b in zip((y, *got, *mine), (truth, *expected, *theirs), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-3, atol=2e-4)


def test_factors_that_do_not_lie_side_by_side() -> None:
    x = torch.randn(3, 4, 5, 2).contiguous(memory_format=torch.channels_last)
    weight, bias, mean, variance = (torch.rand(4, 2)[:, 0] for _ in range(4))
    y = ops.batch_norm(x, mean, variance, weight, bias, engine="handmade")
    torch.testing.assert_close(y, F.batch_norm(x, mean, variance, weight, bias))


def test_sums_over_many_rows_and_channels() -> None:
    x = torch.randn(3, 70, 20, 10).contiguous(memory_format=torch.channels_last) + 100
    mean, variance = fused.statistics(x)
    torch.testing.assert_close(mean, x.mean((0, 2, 3)))
    torch.testing.assert_close(variance, x.var((0, 2, 3), correction=0), rtol=1e-4, atol=1e-4)
