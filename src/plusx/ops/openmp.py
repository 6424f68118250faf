"""OpenMP, as torch brings it along.

After each operation torch's threads keep their cores busy for a while, waiting for the next one. Threads of
our own would have to compete with them; so our loops run on torch's.
"""

import ctypes
from pathlib import Path

import torch


def library() -> ctypes.CDLL | None:
    """The library that came with torch, where it is GNU's; None elsewhere."""
    path = Path(torch.__file__).parent / "lib" / "libgomp.so.1"
    return ctypes.CDLL(str(path)) if path.exists() else None
