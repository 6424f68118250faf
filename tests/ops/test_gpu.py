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


def test_in_the_processors_memory_no_kernel_serves(monkeypatch) -> None:
    x = torch.rand(1, 1, 4, 4)
    assert not gpu.serve(x)
    monkeypatch.setattr(gpu, "_installed", lambda: False)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert not gpu.serve(x)
    assert ops.max_pool2d(x, 2, engine="handmade").shape == (1, 1, 2, 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_pooling_and_normalisation_equal_torchs() -> None:
    x = torch.randn(4, 8, 9, 9, device="cuda").contiguous(memory_format=torch.channels_last)
    for pool in (
        lambda e: ops.max_pool2d(x, 3, 2, 1, engine=e),
        lambda e: ops.avg_pool2d(x, 3, 2, 1, engine=e),
    ):
        torch.testing.assert_close(pool("handmade"), pool("native"))
    norm = [
        ops.batch_norm(x, None, None, training=True, activation="relu", engine=e)
        for e in ("handmade", "native")
    ]
    torch.testing.assert_close(*norm, rtol=1e-4, atol=1e-5)
