"""The run folders: trainings that the pages start, watch, stop and resume; the same as `plusx train` makes.

A training is a process of its own, in a session of its own: it goes on when the page, the browser or the
server ends. What it prints and its process number lie in `.app/` beside the run folders, so that a later
server finds it again.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from plusx.app.forms import FieldError
from plusx.errors import UserError
from plusx.files import write_whole
from plusx.report.run_files import EPOCH_KEYS, NOT_ALWAYS, RESULT_KEYS, read_object

Status = Literal["running", "stopped", "finished", "failed"]
LOG_READ = 4000


@dataclass(frozen=True)
class Run:
    """A run as it stands now.

    Attributes:
        name: of its folder.
        status: stopped ones can be resumed; failed ones ended before they had a folder to go on from.
        epochs: the lines of `metrics.jsonl` so far.
        result: `result.json`, once there is one.
        progress: steps done and steps in all, while it runs and has said so.
        said: the last line that it printed, if it was started here.
    """

    name: str
    status: Status
    epochs: tuple[dict[str, Any], ...]
    result: dict[str, Any] | None
    progress: tuple[int, int] | None
    said: str


class Runs:
    """The runs in one folder.

    Args:
        folder: of the run folders; nothing outside is read or written. Made when a training starts.
    """

    def __init__(self, folder: Path) -> None:
        """Remember the folder."""
        self.folder = folder
        self._lock = threading.Lock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def names(self) -> list[str]:
        """All runs, the youngest first."""
        found = [(path.stat().st_mtime, path.parent.name) for path in self.folder.glob("*/recipe.toml")]
        # Also those that failed at once: the page says what they said.
        starting = [name for name in reversed(self._processes) if not self._begun(name)]
        return starting + [name for _, name in sorted(found, reverse=True)]

    def get(self, name: str) -> Run:
        """One of them, as it stands; what is half-written or damaged counts as not there."""
        run = self.folder / name
        log = self._log(name)
        steps = re.findall(r"step (\d+)/(\d+)", log)
        result = _result(run / "result.json")
        running = self._pid(name) is not None or _locked(run)
        finished = result is not None and (run / "report.html").exists()
        ended: Status = "finished" if finished else "stopped" if self._begun(name) else "failed"
        return Run(
            name,
            "running" if running else ended,
            tuple(_lines(run / "metrics.jsonl")),
            result,
            (int(steps[-1][0]), int(steps[-1][1])) if running and steps else None,
            next((line for line in reversed(log.splitlines()) if line.strip()), "").strip(),
        )

    def running(self) -> str | None:
        """The name of a training under way that was started here, if there is one."""
        return next((name for name in self._known() if self._pid(name) is not None), None)

    def start(self, recipe: str, source: str, epochs: int, seed: int) -> str:
        """Train in a process of its own; returns the run's name.

        Raises:
            FieldError: if one started here is under way, or the folder can't be written.
        """
        base = f"{recipe}-seed{seed}"
        # A training that failed before it made its folder leaves its name to the next try.
        alive = {name for name in self._known() if self._pid(name) is not None}
        taken = {path.name for path in self.folder.glob("*")} | alive
        candidates = (base if number == 1 else f"{base}-{number}" for number in range(1, len(taken) + 3))
        name = next(name for name in candidates if name not in taken)
        options = ["--data", source, "--epochs", str(epochs), "--seed", str(seed)]
        self._launch(name, [recipe, "--out", str(self.folder.resolve() / name), *options])
        return name

    def resume(self, name: str) -> None:
        """Go on with a stopped run.

        Raises:
            FieldError: as `start`, or if it is not stopped.
        """
        if name not in self.names() or self.get(name).status != "stopped":
            raise FieldError("start", "not_stopped")
        self._launch(name, ["--resume", str(self.folder.resolve() / name)])

    def stop(self, name: str) -> None:
        """Ask a training to stop: it writes a checkpoint after the step under way.

        Raises:
            FieldError: if it is not running, or was started elsewhere.
        """
        pid = self._pid(name) if name in self._known() else None
        if pid is None:
            raise FieldError("start", "not_ours")
        os.kill(pid, signal.SIGTERM)

    def _launch(self, name: str, arguments: list[str]) -> None:
        with self._lock:
            if self.running() is not None:
                raise FieldError("start", "under_way")
            try:
                notes = self.folder / ".app"
                notes.mkdir(parents=True, exist_ok=True)
                with open(notes / f"{name}.log", "wb") as log:
                    process = subprocess.Popen(
                        [sys.executable, "-m", "plusx", "train", *arguments],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                self._processes[name] = process
                write_whole(notes / f"{name}.pid", str(process.pid))
            except OSError as error:
                raise FieldError("start", "not_started", reason=error.strerror or str(error)) from error

    def _known(self) -> list[str]:
        """Runs that were started from pages, now or by an earlier server."""
        return [path.stem for path in (self.folder / ".app").glob("*.pid")]

    def _begun(self, name: str) -> bool:
        return (self.folder / name / "recipe.toml").exists()

    def _pid(self, name: str) -> int | None:
        """The number of the process that trains this run, if it was started from a page and is alive."""
        if name in self._processes:
            process = self._processes[name]
            return process.pid if process.poll() is None else None
        try:
            pid = int((self.folder / ".app" / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return None
        return pid if _trains(pid, self.folder.resolve() / name) else None

    def _log(self, name: str) -> str:
        try:
            with open(self.folder / ".app" / f"{name}.log", "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_READ))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""


def _trains(pid: int, run: Path) -> bool:
    """Whether that process is a training of that run: numbers are given again to other processes."""
    found = subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    words = found.stdout.split()
    return "plusx" in words and "train" in words and str(run) in found.stdout


def _locked(run: Path) -> bool:
    """Whether a process holds the run, wherever it was started."""
    if not (run / ".lock").exists():
        return False
    try:
        with FileLock(run / ".lock", timeout=0):
            return False
    except (Timeout, OSError):
        return True


def _result(path: Path) -> dict[str, Any] | None:
    try:
        text = path.read_text(encoding="utf-8")
        found = read_object(text, str(path), RESULT_KEYS, frozenset({"test_accuracy_tta"}))
    except (OSError, ValueError, UserError):
        return None
    return found if "train" in found["seconds"] else None


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    found = []
    for line in lines:
        with suppress(UserError):
            found.append(read_object(line, str(path), EPOCH_KEYS | {"epochs"}, NOT_ALWAYS))
    return found
