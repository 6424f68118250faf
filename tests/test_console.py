"""Where progress is drawn, and where it is left out."""

import io

import pytest
from rich.console import Console

from plusx import console as screen
from plusx.console import counting, redraws
from plusx.train import choose_mode


@pytest.mark.parametrize(
    ("console", "drawn"),
    [
        (Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "xterm"}), True),
        (Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"}), False),
        (Console(file=io.StringIO(), force_terminal=False), False),
    ],
)
def test_a_terminal_is_drawn_on(console: Console, drawn: bool) -> None:
    assert redraws(console) == drawn
    assert choose_mode(console, quiet=False) == ("live" if drawn else "plain")
    assert choose_mode(console, quiet=True) == "quiet"


@pytest.mark.parametrize("widgets", [None, "ipywidgets"])
def test_a_notebook_is_drawn_on_if_it_has_widgets(widgets: str | None, monkeypatch) -> None:
    monkeypatch.setattr(screen, "find_spec", lambda name: widgets)
    notebook = Console(file=io.StringIO(), force_jupyter=True)
    assert redraws(notebook) == (widgets is not None)
    assert choose_mode(notebook, quiet=False) == ("live" if widgets else "plain")


def test_on_a_terminal_a_bar_counts_and_elsewhere_nothing_is_shown() -> None:
    for terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=terminal, _environ={"TERM": "xterm"}, width=100)
        with counting(console, "reading", 3) as show:
            for done in range(1, 4):
                show(done)
        shown = console.file.getvalue()  # type: ignore[attr-defined]
        assert ("3/3" in shown) == terminal
        assert terminal or shown == ""
