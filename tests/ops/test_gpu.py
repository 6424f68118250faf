"""The Triton kernels in Triton's interpreter: in a process of its own: Triton reads its setting once."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from plusx import ops
from plusx.ops import gpu
from plusx.ops.normalisation import fused


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_the_kernels_equal_torchs_operations_in_tritons_interpreter() -> None:
    kernels = Path(__file__).with_name("kernels_in_interpreter.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(kernels)],
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_in_the_processors_memory_no_kernel_suits(monkeypatch) -> None:
    x = torch.rand(1, 1, 4, 4)
    assert not gpu.suits(x)
    monkeypatch.setattr(gpu, "_can_run", lambda: False)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert not gpu.suits(x)
    assert ops.max_pool2d(x, 2, engine="handmade").shape == (1, 1, 2, 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_on_a_gpu_pooling_and_normalisation_equal_the_processors(layout) -> None:
    # Not PyTorch's on the GPU: before July 2026 its gradient of a padded average over channels-last pictures
    # was wrong there (issue 188344).
    def both(operation):
        results = []
        for device, dtype, engine in (("cpu", torch.float64, "native"), ("cuda", torch.float32, "handmade")):
            x = truth.to(device, dtype).contiguous(memory_format=layout).requires_grad_()
            y = operation(x, engine)
            (dx,) = torch.autograd.grad(y, x, weights[: y.numel()].view(y.shape).to(device, dtype))
            results.append((y.cpu().double(), dx.cpu().double()))
        return results

    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(4, 70, 9, 9, generator=generator).double()
    weights = torch.randn(truth.numel(), generator=generator).double()
    for operation in (
        lambda x, e: ops.max_pool2d(x, 3, 2, 1, engine=e),
        lambda x, e: ops.max_pool2d(x, 2, engine=e),
        lambda x, e: ops.avg_pool2d(x, 3, 2, 1, engine=e),
        lambda x, e: ops.avg_pool2d(x, 2, engine=e),
        lambda x, e: ops.batch_norm(x, None, None, training=True, activation="hardswish", engine=e),
        lambda x, e: ops.batch_norm(x, None, None, training=True, added=x, activation="relu", engine=e),
    ):
        for expected, got in zip(*both(operation), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_our_kernels_are_chosen_where_their_launches_are_recorded() -> None:
    x = torch.randn(4, 8, 8, 8, device="cuda").contiguous(memory_format=torch.channels_last)
    assert not fused.pays(x)
    with gpu.prefer_kernels():
        assert fused.pays(x)
    assert not gpu.kernels_preferred()
