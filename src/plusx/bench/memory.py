"""The most memory that a training step takes, measured in a process of its own."""

import ctypes
import gc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import torch

from plusx.device import keep_memory, peak_memory_bytes
from plusx.errors import UserError

Build = Callable[[], Callable[[], object]]
"""Makes a step, and all that it works on. It travels to another process, so it has to pickle."""

STEPS = 3
"""A step leaves holes that the next one does not fit into; after three the peak hardly grows any more."""


def peak_memory(build: Build, rehearse: Build) -> int:
    """The most memory that a step takes on top of what its process has before, in bytes.

    Each call starts a process. In one that has taken other steps, the allocator has their memory still, and
    a step that fits into it would seem to need none. Where tensors don't fit into what smaller ones left, the
    allocator takes more than they need, and not always as much: two figures a tenth apart are the same.

    Args:
        build: makes the step.
        rehearse: makes a smaller one of the same kind, taken first: code that it loads and compiles stays
            in memory, is paid for once, and is not the step's.

    Raises:
        UserError: if the system ended the process.

    >>> from functools import partial
    >>> few, many = (partial(partial, bytearray, count) for count in (1, 64 * 2**20))
    >>> 60 < peak_memory(many, rehearse=few) / 2**20 < 70
    True
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        try:
            return process.submit(_measure, build, rehearse, torch.get_num_threads()).result()
        except BrokenProcessPool as error:
            raise UserError(
                "the process that measured a step's memory was ended, most likely since memory ran out; "
                "name smaller networks, such as plusx bench train resnet20"
            ) from error


def _measure(build: Build, rehearse: Build, threads: int) -> int:
    torch.set_num_threads(threads)
    of_glibc = keep_memory()  # as a run does
    rehearse()()
    gc.collect()
    if of_glibc:
        ctypes.CDLL(None).malloc_trim(0)  # else the step would be given what the rehearsal left
    step = build()
    _restart()
    before = _peak()
    for _ in range(STEPS):
        step()
    return _peak() - before


def _restart() -> None:
    """Count the peak from here, where the system can: on Linux."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """The most memory that this process has had, in bytes.

    On Linux not as `peak_memory_bytes` has it: what getrusage tells begins with the peak of the process that
    started this one.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    kibibytes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return 1024 * kibibytes[0] if kibibytes else peak_memory_bytes(torch.device("cpu"))
