"""The line that goes on with a run can be pasted, wherever plusx was called from."""

import shutil
import sys
from pathlib import Path

import pytest

from plusx.train import resume_command


@pytest.mark.parametrize(
    ("called", "found", "program"),
    [
        ("/home/me/clone/.venv/bin/plusx", "/usr/bin/plusx", "plusx"),
        (".venv/bin/plusx", None, ".venv/bin/plusx"),
        ("/usr/lib/python3/site-packages/pytest/__main__.py", None, "plusx"),
    ],
)
def test_the_program_is_called_as_the_shell_finds_it(
    called: str, found: str | None, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [called])
    monkeypatch.setattr(shutil, "which", lambda name: found)
    assert resume_command(Path("runs/a")) == f"{program} train --resume runs/a"
