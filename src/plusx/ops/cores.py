"""Work shared among the processor's cores: each takes pictures of its own, from first step to last."""

import ctypes
import functools
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import torch

R = TypeVar("R")


def share(work: Callable[[slice], R], count: int) -> list[R]:
    """Call `work` with consecutive parts of range(count), one for each of torch's threads, all at once.

    Inside, torch computes on one thread, so what a core has just written it finds in its own cache. `work`
    has to spend its time where Python's global lock is not held: in torch, or in loops compiled with nogil.

    Returns:
        The results, in the order of the parts; so a sum over them has the same bits each time.

    >>> share(lambda part: sum(range(part.start, part.stop)), 1000) == [499500] or torch.get_num_threads() > 1
    True
    """
    threads = min(torch.get_num_threads(), count)
    if threads <= 1:
        return [work(slice(0, count))]
    bounds = [count * k // threads for k in range(threads + 1)]
    parts = [slice(*pair) for pair in itertools.pairwise(bounds)]
    library = openmp()
    if library is None:
        return list(pool(torch.get_num_threads()).map(work, parts))
    return _on_torchs_threads(library, work, parts)


def _on_torchs_threads(library: ctypes.CDLL, work: Callable[[slice], R], parts: list[slice]) -> list[R]:
    """Run an OpenMP region, as torch's own operations do.

    After each operation torch's threads keep their cores busy for a while, waiting for the next one. Threads
    of our own would have to compete with them.
    """
    results: list[Any] = [None] * len(parts)
    errors: list[BaseException] = []

    def each_thread(_: None) -> None:
        try:
            for k in range(library.omp_get_thread_num(), len(parts), library.omp_get_num_threads()):
                results[k] = work(parts[k])
        except BaseException as error:  # a C function can't pass it on
            errors.append(error)

    library.GOMP_parallel(_REGION(each_thread), None, len(parts), 0)
    if errors:
        raise errors[0]
    return results


_REGION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@functools.lru_cache(maxsize=1)
def openmp() -> ctypes.CDLL | None:
    """The OpenMP library that came with torch, where it is GNU's; None elsewhere."""
    path = Path(torch.__file__).parent / "lib" / "libgomp.so.1"
    return ctypes.CDLL(str(path)) if path.exists() else None


@functools.lru_cache(maxsize=1)
def pool(threads: int) -> ThreadPoolExecutor:
    """Threads for which torch uses one thread each."""
    pool = ThreadPoolExecutor(threads, "plusx", initializer=_compute_alone)
    list(pool.map(lambda _: None, range(threads)))
    torch.set_num_threads(threads)  # for threads that are new to torch, such as autograd's
    return pool


def _compute_alone() -> None:
    torch.get_num_threads()  # a thread's first question sets its number to what was set last, wherever
    torch.set_num_threads(1)
