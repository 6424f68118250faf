"""Python functions as machine code, which is kept on disk for the next process."""

import functools
import hashlib
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import IndexDataCacheFile


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
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": fastmath,
        "no_cfunc_wrapper": True,  # C calls none of them, and it takes time to compile
    }
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
