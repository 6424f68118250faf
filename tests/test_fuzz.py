"""The targets of scripts/fuzz.py, without the fuzzer: their seeds, whole and changed at random places."""

from pathlib import Path

import fuzz
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "PLACE", tmp_path)
    monkeypatch.setenv("PLUSX_CACHE", str(tmp_path / "cache"))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", fuzz.TARGETS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_reader_keeps_its_promise(name: str, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from([*fuzz.seeds(name)])))
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(content)))
        change = data.draw(st.binary(min_size=1, max_size=4))
        content[place : place + len(change)] = change
    fuzz.TARGETS[name](bytes(content))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_whole_seeds_are_read(name: str) -> None:
    contents = [*fuzz.seeds(name)]
    assert contents
    for content in contents:
        fuzz.TARGETS[name](content)


def test_a_reader_that_breaks_its_promise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise IndexError

    monkeypatch.setattr("plusx.data.decode_picture", broken)
    with pytest.raises(IndexError):
        fuzz.TARGETS["picture"](b"")
