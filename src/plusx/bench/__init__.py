"""Measured speed: our operations and whole training steps beside PyTorch's, alternating in one process."""

from plusx.bench.operations import bench_operations
from plusx.bench.steps import bench_steps

__all__ = ["bench_operations", "bench_steps"]
