"""bfloat16 in compiled loops, and who gets them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from numba import njit

from plusx.ops import loops


@njit
def _round_trip(x, y):
    for k in range(len(x)):
        y[k] = loops.narrow(loops.wide(x[k]), y[k])


def test_every_bfloat16_widens_and_every_float32_rounds_as_in_torch() -> None:
    every = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16)
    out = np.empty(2**16, np.float32)
    _round_trip(loops.as_array(every), out)
    np.testing.assert_array_equal(out, every.float().numpy())

    # Every upper half with lower halves around the middle, where rounding turns.
    halves = torch.arange(2**16, dtype=torch.int64)[:, None] * 2**16 + torch.tensor(
        [0, 0x7FFF, 0x8000, 0x8001]
    )
    numbers = halves.flatten().to(torch.uint32).view(torch.float32)
    rounded = torch.empty(numbers.shape, dtype=torch.bfloat16)
    _round_trip(numbers.numpy(), loops.as_array(rounded))
    torch.testing.assert_close(rounded, numbers.bfloat16(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 1, 4, 5), (2, 3, 1, 1), (1, 3, 4, 1), (0, 3, 4, 5)])
def test_pictures_as_an_array_are_the_tensors_memory(shape, layout) -> None:
    x = torch.zeros(shape).contiguous(memory_format=layout)
    array = loops.as_pictures(x, layout)
    array[:] = 1
    assert (x == 1).all()


def test_loops_serve_plain_tensors_on_the_processor_only() -> None:
    assert loops.serve(torch.zeros(2), torch.nn.Parameter(torch.zeros(2)))
    assert not loops.serve(torch.zeros(2, dtype=torch.float16))
    assert not loops.serve(torch.zeros(2, device="meta"))
    with torch._subclasses.FakeTensorMode():
        assert not loops.serve(torch.zeros(2))


def test_kept_code_is_of_its_signature_and_sources_or_none(tmp_path: Path) -> None:
    # Two processes before and two after an upgrade, all of which began with an empty folder.
    old, new, beside = (loops._KeptCode(str(tmp_path), "loop", stamp) for stamp in ("old", "new", "new"))
    old.save("float32", "old code")
    assert new.load("float32") is None
    new.save("float32", "code of float32")
    beside.save("float64", "code of float64")
    for process in (new, beside):
        assert process.load("float32") == "code of float32"
        assert process.load("float64") == "code of float64"
    assert old.load("float32") is None


def test_a_loop_runs_where_nothing_can_be_kept(monkeypatch) -> None:
    monkeypatch.setattr("numba.core.caching.CompileResultCacheImpl._locator_classes", [])

    @loops.compiled
    def double(x):
        return 2 * x

    assert double(4) == 8
    assert double.stats.cache_path is None


def test_a_loop_is_compiled_anew_when_another_source_has_changed(tmp_path: Path, monkeypatch) -> None:
    source = tmp_path / "kept_loop.py"
    source.write_text("from plusx.ops.loops import compiled\n\n@compiled\ndef double(x):\n    return 2 * x\n")

    def found_on_disk(sources: str) -> bool:
        monkeypatch.setattr(loops, "_sources", lambda: sources)
        spec = importlib.util.spec_from_file_location("kept_loop", source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.double(4) == 8
        return bool(module.double.stats.cache_hits)

    assert [found_on_disk(sources) for sources in ("a", "a", "b", "b")] == [False, True, False, True]
