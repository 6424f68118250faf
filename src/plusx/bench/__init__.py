"""Measured speed: our operations and whole training steps beside PyTorch's, alternating in one process;
what training takes as it grows; how fast pictures are read; and a plan past this machine."""

from plusx.bench.growth import bench_growth
from plusx.bench.loading import bench_loading
from plusx.bench.operations import bench_operations
from plusx.bench.scaling import bench_scaling
from plusx.bench.steps import bench_steps
from plusx.bench.time_to_accuracy import time_to

__all__ = [
    "bench_growth",
    "bench_loading",
    "bench_operations",
    "bench_scaling",
    "bench_steps",
    "time_to",
]
