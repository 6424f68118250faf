"""Measured speed: our operations and whole training steps beside PyTorch's, alternating in one process;
how fast pictures are read; and a plan past this machine."""

from plusx.bench.loading import bench_loading
from plusx.bench.operations import bench_operations
from plusx.bench.scaling import bench_scaling
from plusx.bench.steps import bench_steps

__all__ = ["bench_loading", "bench_operations", "bench_scaling", "bench_steps"]
