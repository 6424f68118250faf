"""Stopping politely: Ctrl-C and SIGTERM are noted, and the loop ends after the step under way."""

import shlex
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType, TracebackType


def program() -> str:
    """How to call plusx here: by the path that it was called by, where its name alone would not find it.

    >>> program()
    'plusx'
    """
    called = Path(sys.argv[0])
    return str(called) if called.name == "plusx" and shutil.which("plusx") is None else "plusx"


def resume_command(run: Path, data_dir: Path | None = None, strict: bool = False) -> str:
    """The command line that goes on with a run, with the options that aren't in its recipe.

    >>> resume_command(Path("my runs/a"), strict=True)
    "plusx train --resume 'my runs/a' --strict"
    """
    again = [program(), "train", "--resume", str(run)]
    again += ["--data-dir", str(data_dir)] * (data_dir is not None) + ["--strict"] * strict
    return shlex.join(again)


class Interrupted(Exception):  # noqa: N818  (a request, no error)
    """The run was asked to stop, wrote a checkpoint and can be resumed.

    Attributes:
        run: the run directory.
        signal: the signal's number.
        again: the command that goes on.
    """

    def __init__(self, run: Path, signal_number: int, again: str | None = None) -> None:
        """Keep what the caller needs to say."""
        super().__init__(f"stopped by signal {signal_number}")
        self.run = run
        self.again = again or resume_command(run)
        self.signal = signal_number


class StopRequest:
    """While entered, the first Ctrl-C or SIGTERM only sets `signal`; a second Ctrl-C ends the process.

    >>> with StopRequest() as request:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     request.signal == signal.SIGTERM
    True
    """

    def __init__(self) -> None:
        """Nothing is asked yet."""
        self.signal: int | None = None
        self._before: list[tuple[signal.Signals, object]] = []

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __enter__(self) -> "StopRequest":
        """Take the two signals; outside the main thread whoever runs us there keeps them."""
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before.append((number, signal.signal(number, self._note)))
        except ValueError:
            self._before = []
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before:
            signal.signal(number, handler)  # type: ignore[arg-type]
