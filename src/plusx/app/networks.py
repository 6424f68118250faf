"""Which trained networks the pages can use: the one that comes with plusx, and the finished runs."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plusx.app.forms import FieldError
from plusx.errors import UserError
from plusx.inference import Classifier, load
from plusx.models.weights import PRETRAINED, WEIGHTS_FILE

KEPT = 4


class Networks:
    """Trained networks by name, loaded when asked for; a few are kept.

    Args:
        runs: the folder whose runs can be chosen; no other file is ever opened.
    """

    def __init__(self, runs: Path) -> None:
        """Remember the folder."""
        self._runs = runs
        self._kept: OrderedDict[tuple[str, float], tuple[Classifier, threading.Lock]] = OrderedDict()
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """The network that comes with plusx first, then finished runs, the newest first."""
        files = [(path.stat().st_mtime, path.parent.name) for path in self._runs.glob(f"*/{WEIGHTS_FILE}")]
        return [*PRETRAINED, *(name for _, name in sorted(files, reverse=True) if name not in PRETRAINED)]

    @contextmanager
    def borrowed(self, name: str) -> Iterator[Classifier]:
        """The network of that name, for one page at a time: pages hang hooks on it and switch parts off.

        Raises:
            FieldError: if its file can't be used.
        """
        path = PRETRAINED[name] if name in PRETRAINED else self._runs / name / WEIGHTS_FILE
        with self._lock:
            try:
                key = (name, path.stat().st_mtime)
                if key not in self._kept:
                    self._kept[key] = (load(path), threading.Lock())
                    while len(self._kept) > KEPT:
                        self._kept.popitem(last=False)
            except (UserError, OSError) as error:
                raise FieldError("network", "network_broken", reason=str(error)) from error
            classifier, its_lock = self._kept[key]
        with its_lock:
            yield classifier
