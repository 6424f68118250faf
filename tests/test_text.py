"""Names from strangers on the screen, in JSON and on pages: shown, never obeyed, and none ends a command."""

import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from plusx import cli
from plusx.commands.compare import compare
from plusx.commands.data import inspect
from plusx.commands.evaluate import evaluate
from plusx.commands.explain import explain
from plusx.commands.predict import predict
from plusx.console import say
from plusx.data import load_folder, sample
from plusx.errors import UserError
from plusx.text import clock, is_visible, json_text, visible
from plusx.train import Display, claim, load_recipe, refuse_changed

HOSTILE = (
    "\x1b[2J\x1b]0;own\x07",
    "a\nplusx: done",
    "\x9b31m",
    "[/bold]",
    "<script>x",
    "\udcff",
    "\u202egnp.tac",
)
IMAGES = sample("test")[0]


def acts(text: str) -> set[str]:
    """The characters of a text that do something to a terminal."""
    return {c for c in text if ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029\u202d\u202e"} - {"\n"}


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for number, name in enumerate(("cat", "dog")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(IMAGES[20 * number + i]).save(tmp_path / "pets" / name / f"{i}.png")
    for name in HOSTILE:
        (tmp_path / "pets" / "cat" / f"{name.replace('/', '')}.png").write_bytes(b"no picture")
    return tmp_path / "pets"


@given(st.text())
def test_visible_text_stays_and_what_acts_is_escaped(text: str) -> None:
    shown = visible(text)
    assert not acts(shown)
    assert "\n" not in shown
    shown.encode()  # fails where a lone surrogate is left
    assert visible(shown) == shown
    assert json.loads(json_text([text])) == [text]
    assert not acts(json_text([text]))
    if text.isprintable():
        assert shown == text


def test_a_line_is_printed_as_it_is(capsys) -> None:
    for name in (*HOSTILE, "猫[1]"):
        say(Console(), name)
    out = capsys.readouterr().out
    assert not acts(out)
    assert len(out.splitlines()) == len(HOSTILE) + 1
    assert "猫[1]" in out
    assert "[/bold]" in out


def test_inspect_shows_hostile_names_and_its_json_gives_them_back(pets, tmp_path, capsys) -> None:
    inspect(pets, page=tmp_path / "page.html")
    out = capsys.readouterr().out
    assert not acts(out)
    assert r"\x1b[2J" in out
    assert r"\udcff" in out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not acts(page)
    assert r"\x1b[2J" in page
    assert r"a\nplusx: done" in page
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page
    assert r"\udcff" in page
    inspect(pets, as_json=True)
    out = capsys.readouterr().out
    assert not acts(out)
    assert {os.fsencode(pets / name) for name in json.loads(out)["skipped"]} == {
        os.fsencode(path) for path in (pets / "cat").iterdir() if not path.stem.isdigit()
    }


def test_predict_shows_hostile_names(tmp_path, capsys) -> None:
    paths = [tmp_path / f"{name.replace('/', '')}.png" for name in HOSTILE]
    for path in paths:
        Image.fromarray(IMAGES[0]).save(path)
    predict([*paths], device="cpu")
    assert not acts(capsys.readouterr().out)
    predict([*paths], device="cpu", as_json=True)
    out = capsys.readouterr().out
    assert not acts(out)
    assert [row["picture"] for row in json.loads(out)] == [*map(str, paths)]


def test_evaluate_shows_hostile_names(pets, capsys) -> None:
    for path in (pets / "cat").iterdir():  # ships, so that they are among the mistakes
        Image.fromarray(IMAGES[170 + len(path.name)]).save(path, "PNG")
    hostile = pets.rename(pets.with_name("\x1b[2J\udcff"))  # the title has the folder's name
    evaluate(Path("cifar10"), data=str(hostile), device="cpu", page=hostile.parent / "page.html")
    out = capsys.readouterr().out
    assert not acts(out)
    assert not acts((hostile.parent / "page.html").read_text(encoding="utf-8"))
    assert r"\x1b[2J" in out
    evaluate(Path("cifar10"), data=str(hostile), device="cpu", as_json=True)
    out = capsys.readouterr().out
    assert not acts(out)
    assert any(row["picture"].startswith("cat/\x1b[2J") for row in json.loads(out)["mistakes"])


def test_explain_shows_hostile_names(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [Path(f"{name}.png") for name in (HOSTILE[0], HOSTILE[1], HOSTILE[5])]
    for path in paths:
        Image.fromarray(IMAGES[0]).save(path)
    explain([*paths], out=Path("out"), device="cpu")
    assert not acts(capsys.readouterr().out)
    page = Path("out/index.html").read_text(encoding="utf-8")
    assert not acts(page)
    assert [part for part in (r"\x1b[2J", r"a\nplusx", r"\udcff") if part not in page] == []
    for path in paths:
        with Image.open(Path("out") / path) as picture:
            picture.verify()


def test_compare_shows_hostile_names(finished_run, tmp_path, capsys) -> None:
    runs = [finished_run(name, 0.5) for name in ("a", HOSTILE[0], HOSTILE[5])]
    compare(runs, page=tmp_path / "page.html", device="cpu")
    assert not acts(capsys.readouterr().out)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not acts(page)
    assert [part for part in (r"\x1b[2J", r"\udcff") if part not in page] == []
    compare(runs, device="cpu", as_json=True)
    out = capsys.readouterr().out
    assert not acts(out)
    assert [row["run"] for row in json.loads(out)["runs"]] == [*map(str, runs)]


def test_a_run_on_pictures_with_hostile_names_can_be_written_and_resumed(pets, tmp_path, capsys) -> None:
    record, recipe = load_folder(pets).record, load_recipe("fast")
    claim(tmp_path / "run", recipe, record)
    refuse_changed(tmp_path / "run", record)
    assert json.loads((tmp_path / "run" / "data.json").read_text(encoding="utf-8")) == record
    for mode in ("plain", "live"):
        display = Display(recipe, Console(force_terminal=mode == "live"), mode)
        display.begin(f"[/b] {HOSTILE[0]}", 10, 5, 0)
        display.finish([f"everything is in {HOSTILE[5]} [/b]"])
        assert not acts(display.svg("plusx train \x1b[2J"))
        out = capsys.readouterr().out
        assert [part for part in (r"\x1b[2J\x1b]0;own\x07", "[/b]", r"\udcff") if part not in out] == []


@pytest.mark.parametrize("name", HOSTILE)
def test_an_error_is_one_line_of_bounded_length(name, monkeypatch, capsys) -> None:
    def fail(**_: object) -> None:
        raise UserError(f"{name} {'x' * 1_000_000}")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    assert not acts(err)
    assert err.count("\n") == 1
    assert len(err) < 2100


def test_a_terminal_that_knows_only_ascii_ends_no_command(monkeypatch, tmp_path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as out:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(cli, "app", lambda **_: print("32×32 狗 \udcff"))
        cli.main()
    assert (tmp_path / "out").read_text() == "32\\xd732 \\u72d7 \\udcff\n"


def test_only_names_that_can_be_shown_name_classes() -> None:
    assert all(map(is_visible, ("German shepherd", "[/bold]", "<b>", "狗", "naïve")))
    assert not any(map(is_visible, ("", " ", "a\n", "\x1b[2J", "\udcff", "\u202ea")))


def test_no_time_left_is_never_negative() -> None:
    assert [clock(seconds) for seconds in (-1e9, -0.1, 0, float("nan"), float("inf"))] == [
        *("0:00", "0:00", "0:00", "–", "–")
    ]
