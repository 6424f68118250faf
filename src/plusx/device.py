"""Where a run computes and in which numbers, and how its memory is kept."""

import ctypes
import functools
import platform
import resource
import sys

import torch

from plusx.errors import UserError

# Parameters of glibc's mallopt (malloc.h).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


def resolve_device(name: str) -> torch.device:
    """The device that "auto", "cpu", "cuda", "cuda:1" or "mps" stands for here.

    Raises:
        UserError: if the name is unknown or this machine has no such device.

    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"there is no device {name!r}; choose one of: auto, cpu, cuda, mps") from None
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, False):
        raise UserError(f"this machine has no device {name!r}; --device auto takes the best one there is")
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """The type that products are computed in: for "auto", bfloat16 where the hardware multiplies it fast.

    >>> resolve_precision("float32", torch.device("cpu"))
    torch.float32
    """
    if name != "auto":
        return torch.bfloat16 if name == "bfloat16" else torch.float32
    if device.type == "cuda":
        # Older cards take bfloat16 too, and compute it in other numbers, slower than float32.
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if device.type == "cpu" and bfloat16_units() else torch.float32


@functools.lru_cache(maxsize=1)
def bfloat16_units() -> tuple[str, ...]:
    """What multiplies bfloat16 in this processor; older torch does not tell, and none is the safe answer.

    "amx_bf16" multiplies tiles of 16 rows, "avx512_bf16" and "bf16" (ARM) vectors.
    """
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return tuple(name for name in ("amx_bf16", "avx512_bf16", "bf16") if capabilities.get(name))


def keep_memory() -> bool:
    """Let glibc keep freed memory instead of handing it back to the kernel after every large tensor.

    Each step frees and allocates the same gigabytes; getting them back as zeroed pages costs up to a third of
    the time. Elsewhere than on glibc this does nothing.

    Returns:
        Whether it did something.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, -1)  # never
    libc.mallopt(M_TOP_PAD, 256 * 2**20)
    return True


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory used so far: of the device where it has its own, else of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kibibytes
