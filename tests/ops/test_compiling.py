"""Machine code that is kept, and what it was made from."""

import importlib.util
from pathlib import Path

from plusx.ops import compiling


def test_kept_code_is_of_its_signature_and_sources_or_none(tmp_path: Path) -> None:
    # Two processes before and two after an upgrade, all of which began with an empty folder.
    old, new, beside = (compiling._KeptCode(str(tmp_path), "loop", stamp) for stamp in ("old", "new", "new"))
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

    @compiling.compiled
    def double(x):
        return 2 * x

    assert double(4) == 8
    assert double.stats.cache_path is None


def test_a_loop_is_compiled_anew_when_another_source_has_changed(tmp_path: Path, monkeypatch) -> None:
    source = tmp_path / "kept_loop.py"
    imports = "from plusx.ops.compiling import compiled\n\n"
    source.write_text(imports + "@compiled\ndef double(x):\n    return 2 * x\n")

    def found_on_disk(sources: str) -> bool:
        monkeypatch.setattr(compiling, "_sources", lambda: sources)
        spec = importlib.util.spec_from_file_location("kept_loop", source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.double(4) == 8
        return bool(module.double.stats.cache_hits)

    assert [found_on_disk(sources) for sources in ("a", "a", "b", "b")] == [False, True, False, True]
