"""The peak of a step's memory: what is counted, and what is not."""

import signal
from functools import partial

import numpy as np
import pytest

from plusx.bench.memory import peak_memory
from plusx.errors import UserError

MEBI = 2**20
NUMBERS = 2**23  # 64 MiB in NumPy's float64

nothing = partial(partial, np.ones, 1)


def test_what_a_step_needs_is_counted_though_a_rehearsal_had_as_much() -> None:
    step = partial(partial, np.ones, NUMBERS)
    assert 60 * MEBI < peak_memory(step, rehearse=nothing) < 70 * MEBI
    assert peak_memory(step, rehearse=step) > 60 * MEBI


def test_what_the_step_finds_and_what_others_have_is_not_counted() -> None:
    ours = np.ones(8 * NUMBERS)
    finds = partial(partial, np.sum, np.ones(NUMBERS))
    assert peak_memory(finds, rehearse=nothing) < 8 * MEBI
    assert len(ours) == 8 * NUMBERS


def test_a_process_that_the_system_ends_is_told_of() -> None:
    ended = partial(partial, signal.raise_signal, signal.SIGKILL)
    with pytest.raises(UserError, match="memory ran out"):
        peak_memory(ended, rehearse=nothing)
