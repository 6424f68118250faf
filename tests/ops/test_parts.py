"""Compiled loops in parts: every picture once, whatever threads there are; and machine code that is kept."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from plusx.ops.parts import in_parts, known, parts


@njit(nogil=True)
def _mark(part, places, K, seen, by):
    number, first, end = part
    for n in range(first, end):
        seen[n] += len(K)
        by[n] = number


@njit(nogil=True)
def mark(count, *arguments):
    in_parts(_mark, count, arguments)


@settings(deadline=None)  # the first call compiles
@given(count=st.integers(1, 9), length=st.integers(0, 40), K=st.integers(0, 3))
def test_parts_follow_one_another_and_miss_nothing(count: int, length: int, K: int) -> None:
    seen, by = np.zeros(length, np.int64), np.full(length, -1)
    mark(count, seen.copy(), known(K), seen, by)
    assert (seen == K).all()
    assert (np.diff(by) >= 0).all()
    sizes = np.bincount(by, minlength=count) if length else np.zeros(count, np.int64)
    assert len(sizes) == count
    assert sizes.max() - sizes.min() <= 1


def test_there_is_a_part_for_each_thread_but_none_without_pictures() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    assert [parts(range(n)) for n in (0, 1, 2, 3, 100)] == [1, 1, 2, 3, 3]
    torch.set_num_threads(before)


@njit(nogil=True)
def _fail(part, x):
    if part[0] == 1:
        raise ValueError


@njit(nogil=True)
def fail(count, *arguments):
    in_parts(_fail, count, arguments)


def test_a_part_that_fails_is_reported() -> None:
    fail(1, np.zeros(4))
    with pytest.raises(RuntimeError, match="did not come to its end"):
        fail(3, np.zeros(4))


POOL_AND_NORMALISE = """
import sys, types, torch
if sys.argv[1] == "our own threads":
    sys.modules["plusx.ops.openmp"] = types.SimpleNamespace(library=lambda: None)
torch.set_num_threads(3)
from plusx import nn, ops
from plusx.ops.parts import _FUNCTIONS
ours = type(_FUNCTIONS["plusx_start"]).__name__ == "CFunctionType"
assert ours == (sys.argv[1] == "our own threads")
x = torch.randn(7, 9, 6, 6).to(memory_format=torch.channels_last).requires_grad_()
y = x.detach().clone().requires_grad_()
with ops.engine("handmade"):
    ops.max_pool2d(x, 2).square().sum().backward()
    nn.BatchNorm2d(9)(x.detach(), activation="relu")
torch.nn.functional.max_pool2d(y, 2).square().sum().backward()
assert torch.equal(x.grad, y.grad)
"""


def files_after_a_process(cache: Path, threads: str = "torch's threads") -> set[str]:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    subprocess.run([sys.executable, "-c", POOL_AND_NORMALISE, threads], check=True, env=environment)
    return {path.name for path in cache.rglob("*.nbc")}


def test_a_second_process_finds_all_machine_code_and_needs_no_openmp(tmp_path: Path) -> None:
    first = files_after_a_process(tmp_path)
    assert len(first) >= 8  # of two poolings, and of two passes of a norm, a loop and its parts each
    assert files_after_a_process(tmp_path) == first
    assert files_after_a_process(tmp_path, "our own threads") == first
