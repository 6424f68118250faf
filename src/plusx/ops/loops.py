"""What the compiled loops share: when they serve, and bfloat16, which NumPy and Numba do not know.

A bfloat16 is the upper half of a float32. Loops receive it as uint16; `wide` and `narrow` go there and back.
"""

import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.core.caching import IndexDataCacheFile
from numba.extending import intrinsic
from torch import Tensor

DTYPES = (torch.float32, torch.float64, torch.bfloat16)
UNROLLED = 16
"""Taps of a pooling window that are written out one after the other; a larger window is walked."""


def serve(*tensors: Tensor) -> bool:
    """Whether compiled loops can take these: plain tensors of real numbers in the processor's memory.

    Not while somebody traces a program or counts what it does; then, and elsewhere, torch's operations serve.
    """
    return not is_traced() and all(
        type(x) in (Tensor, torch.nn.Parameter) and x.device.type == "cpu" and x.dtype in DTYPES
        for x in tensors
    )


def is_traced() -> bool:
    """Whether torch's operations are recorded or watched: what loops of our own do would be missed."""
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # type: ignore[attr-defined]
        or torch.utils._python_dispatch._get_current_dispatch_mode() is not None
    )


def layout_of(x: Tensor) -> torch.memory_format:
    """Return whether channels come last in memory."""
    last = x.is_contiguous(memory_format=torch.channels_last) and x.stride(1) == 1
    return torch.channels_last if last else torch.contiguous_format


def as_array(x: Tensor) -> np.ndarray[Any, Any]:
    """The tensor's own memory; bfloat16 as uint16."""
    x = x.detach()
    return x.view(torch.uint16).numpy() if x.dtype == torch.bfloat16 else x.numpy()


def as_pictures(x: Tensor, layout: torch.memory_format) -> np.ndarray[Any, Any]:
    """x (N, C, H, W) as (N, H·W·C) if channels come last, else as (N·C, H·W).

    Of x in this layout it is a view, into which loops may write.
    """
    N, C, H, W = x.shape
    pixels = as_array(x.contiguous(memory_format=layout))
    if layout == torch.channels_last:
        return pixels.transpose(0, 2, 3, 1).reshape(N, H * W * C)
    return pixels.reshape(N * C, H * W)


def widened(like: Tensor, value: float) -> Any:
    """The number in the precision in which loops over `like` compute: float32 at least."""
    return np.float64(value) if like.dtype == torch.float64 else np.float32(value)


def compiled(function: Any) -> Any:
    """Compile to machine code at the first call, keep it on disk, and run it without Python's global lock.

    What is kept is found again by a function's free variables, which therefore must be plain values: another
    compiled function among them would look new to each process. Those belong to the module, as `inlined`.

    A product and the sum after it may become one instruction; nothing else is reordered.
    """
    return _kept(function, {"contract"})


def reordering(function: Any) -> Any:
    """The same for sums that may be taken in any order, so that several numbers are added at a time."""
    return _kept(function, {"contract", "reassoc"})


def _kept(function: Any, fastmath: set[str]) -> Any:
    """Compile and keep the code; where nothing can be written, each process compiles for itself."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
    try:
        loop = njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's can be written
        return njit(**options)(function)
    kept = loop._cache
    kept._cache_file = _KeptCode(
        kept.cache_path, kept._impl.filename_base, (kept._impl.locator.get_source_stamp(), _sources())
    )
    return loop


class _KeptCode(IndexDataCacheFile):
    """The machine code of a loop on disk: a file for each signature, which says what it was made from.

    Numba asks for the loop's own source only, but what it inlines comes from others; so `stamp` is of all of
    them. And Numba finds the files by an index: a process that is killed between writing the one and the
    other, or two that write at once, leave one that names the code of something else, and it would run.
    """

    def __init__(self, folder: str, name: str, stamp: Any) -> None:
        super().__init__(folder, name, stamp)
        self._name = name

    def save(self, key: Any, data: Any) -> None:
        """Write the code for a signature and a processor."""
        self._save_data(self._file(key), (self._source_stamp, data))

    def load(self, key: Any) -> Any:
        """The code, or None if there is none from these sources."""
        try:
            stamp, data = self._load_data(self._file(key))
        except OSError:
            return None
        return data if stamp == self._source_stamp else None

    def _file(self, key: Any) -> str:
        return f"{self._name}.{hashlib.sha256(repr((self._version, key)).encode()).hexdigest()[:16]}.nbc"


@functools.lru_cache(maxsize=1)
def _sources() -> str:
    """A digest of all sources of `plusx.ops`."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def inlined(function: Any) -> Any:
    """Compile into its callers: handing over a slice costs more than a few vector instructions."""
    return njit(nogil=True, error_model="numpy", inline="always")(function)


@intrinsic
def wide(_: Any, x: Any) -> Any:
    """The number itself; of a bfloat16, given as uint16, the float32."""
    if isinstance(x, types.Float):
        return x(x), lambda context, builder, signature, args: args[0]

    def widen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.shl(builder.zext(args[0], ir.IntType(32)), ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.uint16), widen


@intrinsic
def narrow(_: Any, x: Any, like: Any) -> Any:
    """x in the type of `like`: where that is uint16, the nearest bfloat16, ties to even."""
    if isinstance(like, types.Float):
        return like(like, like), lambda context, builder, signature, args: args[0]

    def round_to_even(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer = ir.IntType(32)
        bits = builder.bitcast(args[0], integer)
        odd = builder.and_(builder.lshr(bits, ir.Constant(integer, 16)), ir.Constant(integer, 1))
        rounded = builder.add(bits, builder.add(odd, ir.Constant(integer, 0x7FFF)))
        is_nan = builder.fcmp_unordered("uno", args[0], args[0])
        kept = builder.select(is_nan, ir.Constant(integer, 0x7FC00000), rounded)
        return builder.trunc(builder.lshr(kept, ir.Constant(integer, 16)), ir.IntType(16))

    return types.uint16(types.float32, types.uint16), round_to_even


@compiled
def windows_over(length: int, K: int, s: int, start: int, d: int, out: int) -> Any:
    """For each pixel of an axis: how many windows reach it, which (in order), and through which tap."""
    count = np.zeros(length, np.int64)
    windows, taps = np.zeros((length, K), np.int64), np.zeros((length, K), np.int64)
    for p in range(out):
        for i in range(K):
            pixel = p * s + i * d - start
            if 0 <= pixel < length:
                windows[pixel, count[pixel]], taps[pixel, count[pixel]] = p, i
                count[pixel] += 1
    return count, windows, taps
