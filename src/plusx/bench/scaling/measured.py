"""What the plan can measure here: all-reduces and training steps of a few processes, and decoding JPEGs."""

import json
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import start_processes
from torch.nn.parallel import DistributedDataParallel

from plusx import ops
from plusx.bench.photographs import TALL, WIDE, write_photograph
from plusx.bench.scaling.collectives import Link
from plusx.bench.timing import alternate, spread, timed
from plusx.data import sample
from plusx.data.picture import read_picture
from plusx.models import create_model

SIZES = (4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 100_000_000)
"""Bytes of the measured all-reduces."""
NETWORK, BATCH, SIZE = "resnet18", 8, 64
"""Many gradients (47 MB) for little computation, so that communication shows on a machine of few cores."""
REPEATS = 5
"""All-reduces for one step: they are short, and the machine's other guests disturb them more."""
NOISE, QUALITY = 32, 93
"""Of the JPEGs: grey levels added at random, and Pillow's quality, which give ImageNet's bytes a file."""


def measure_processes(
    processes: int,
    rounds: int,
    sizes: tuple[int, ...] = SIZES,
    network: str = NETWORK,
    batch: int = BATCH,
    size: int = SIZE,
) -> dict[str, Any]:
    """Time gloo's all-reduces and a network's step among processes of one thread each on this machine.

    Returns:
        `processes`; `all_reduce`, pairs of bytes and median seconds; `alone`, median seconds [forward,
        backward] of a step while every process computes and none communicates; `step`, median seconds of a
        step of DistributedDataParallel. All as process 0 saw them.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = (processes, folder, rounds, sizes, network, batch, size)
        with _deaf_to_interrupts():
            context = start_processes(_process, arguments, nprocs=processes, join=False)
        try:
            while not context.join():
                pass
        finally:  # after Ctrl-C they would wait for each other
            for process in context.processes:
                process.kill()
                process.join()
        result: dict[str, Any] = json.loads((Path(folder) / "result.json").read_text(encoding="utf-8"))
    return result


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """What is started inside ignores Ctrl-C: Python's own answer to it, a traceback, comes from every one."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _process(
    rank: int,
    processes: int,
    folder: str,
    rounds: int,
    sizes: tuple[int, ...],
    network: str,
    batch: int,
    size: int,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # which torch sends too, when the first process has gone
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=(Path(folder) / "meet").as_uri(), rank=rank, world_size=processes
    )
    torch.manual_seed(rank)
    tensors = {n: torch.zeros(n // 4) for n in sizes}

    def reduce(x: torch.Tensor) -> float:
        return _together(lambda: dist.all_reduce(x))

    reduced = alternate({str(n): partial(reduce, x) for n, x in tensors.items()}, REPEATS * rounds)

    model = create_model(network)
    shared = DistributedDataParallel(create_model(network))
    pictures = torch.randn(batch, 3, size, size)
    losses: list[torch.Tensor] = []

    def forward(module: nn.Module) -> None:
        module.zero_grad()
        losses[:] = [module(pictures).square().mean()]

    def alone() -> tuple[float, float]:
        return _together(lambda: forward(model)), timed(lambda: losses[0].backward())

    def shared_step() -> None:
        forward(shared)
        losses[0].backward()

    with ops.engine("native"):
        steps = alternate({"alone": alone, "step": lambda: _together(shared_step)}, rounds)
    if rank == 0:
        result = {
            "processes": processes,
            "all_reduce": [[n, spread(reduced[str(n)]).median] for n in sizes],
            "alone": [spread([pair[part] for pair in steps["alone"]]).median for part in (0, 1)],
            "step": spread(steps["step"]).median,
        }
        (Path(folder) / "result.json").write_text(json.dumps(result), encoding="utf-8")
    dist.destroy_process_group()


def _together(call: Callable[[], Any]) -> float:
    """Seconds of a call that all processes begin at the same time."""
    dist.barrier()
    return timed(call)


def fit(processes: int, points: list[list[float]]) -> Link:
    """The latency and bandwidth with which a ring explains measured all-reduces best.

    Least squares of the relative error, so that small messages count as much as large ones.

    >>> link = fit(3, [[3e3, 4 * (1e-4 + 1e-6)], [3e6, 4 * (1e-4 + 1e-3)]])
    >>> round(link.latency, 9), round(link.bandwidth)
    (0.0001, 1000000000)
    """
    n, seconds = np.array(points).T
    messages = 2 * (processes - 1)
    terms = np.stack([messages / seconds, messages * n / processes / seconds], axis=1)
    latency, per_byte = np.linalg.lstsq(terms, np.ones(len(n)), rcond=None)[0]
    latency = max(float(latency), 1e-7)  # noise can put it below nothing
    return Link(1 / float(per_byte), latency, latency)


def decode_rate(pictures: int = 64, size: int = 224) -> dict[str, float]:
    """How many JPEGs a second one core reads as size × size pixels.

    They are the sample's pictures enlarged to the usual 500×375, with enough noise that a file has about as
    many bytes as ImageNet's have on average.

    Returns:
        `pictures_per_second` of one core and the mean `bytes` of a file.
    """
    noise = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, small in enumerate(sample("train")[0][:pictures]):
            paths.append(Path(folder) / f"{number}.jpg")
            levels = noise.integers(-NOISE, NOISE + 1, (TALL, WIDE, 3))
            write_photograph(paths[-1], small, levels, QUALITY)
        read_picture(paths[0], size)
        seconds = [timed(partial(read_picture, path, size)) for path in paths]
        mean = sum(path.stat().st_size for path in paths) / len(paths)
    return {"pictures_per_second": 1 / spread(seconds).median, "bytes": mean}
