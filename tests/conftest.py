"""What tests of several rooms share: pages of HTML, finished runs, and limits that are real."""

import gc
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from torch import Tensor
from torch.autograd.graph import Node

from plusx.train import load_recipe
from plusx.train.recipe import Recipe, to_toml

# How long an example takes depends on who else uses the machine; no test is about that.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

VOID = {"meta", "link", "source", "img", "br"}


class Page(HTMLParser):
    """Collects what the tests ask about and fails on tags that aren't closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.values: list[float | str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "data":
            self.values.append(float(dict(attrs)["value"] or "nan"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data.replace("\xa0", " ")


@pytest.fixture
def parse() -> type[Page]:
    """Read a page of HTML."""
    return Page


@pytest.fixture
def assert_loads_nothing() -> Callable[[str], None]:
    """Fail if a page would fetch anything, or run anything."""

    def check(html: str) -> None:
        page = Page(html)
        names = [tag for tag, _ in page.tags]
        assert {"script", "iframe", "object", "embed"}.isdisjoint(names)
        for tag, attributes in page.tags:
            for name in ("src", "srcset", "href", "xlink:href", "action", "poster"):
                if name in attributes:
                    assert re.match("#|data:", attributes[name] or ""), (tag, attributes[name])
        assert re.findall(r"url\((?!#|[\"']?data:)[^)]*\)|@import|@font-face", html) == []
        assert not re.search(r"""["'(]\s*https?://(?!www\.w3\.org/)""", html)

    return check


@pytest.fixture
def finished_run(tmp_path: Path) -> Callable[..., Path]:
    """Write the files of a run on the sample that ends at an accuracy: the fast recipe with some changes."""

    def write(name: str, accuracy: float, record: dict[str, Any] | None = None, **settings: Any) -> Path:
        run = tmp_path / name
        run.mkdir()
        chosen = {"data.source": "sample"} | {key.replace("__", "."): v for key, v in settings.items()}
        write_run(run, load_recipe("fast", chosen), accuracy)
        if record:
            (run / "data.json").write_text(json.dumps(record))
        return run

    return write


def write_run(run: Path, recipe: Recipe, accuracy: float, **result: Any) -> None:
    """Write recipe, metrics, result and environment of a run with figures that could be true.

    Args:
        run: its directory.
        recipe: its settings.
        accuracy: on the test set, in the last epoch.
        result: what `result.json` says instead.
    """
    epochs = recipe.training.epochs
    (run / "recipe.toml").write_text(to_toml(recipe), encoding="utf-8")
    write_metrics(run, [epoch_row(epoch, epochs, accuracy) for epoch in range(1, epochs + 1)])
    measured = {
        **{"recipe": recipe.name, "model": recipe.model.name, "parameters": 1936288, "epochs": epochs},
        **{"seed": recipe.training.seed, "engine": "native", "device": "cpu", "test_accuracy": accuracy},
        **{"test_accuracy_tta": None, "train_accuracy": 0.9512, "images_per_second": 907.4},
        "seconds": {"setup": 3.2, "compile": 21.5, "train": 418.6, "evaluate": 39.9, "total": 483.2},
        **{"peak_memory_bytes": 3456789012, "plusx_version": "0.1.0", "torch_version": "2.13.0"},
    }
    (run / "result.json").write_text(json.dumps(measured | result))
    (run / "environment.json").write_text(json.dumps({"processor": "abacus", "threads": 2}))


def epoch_row(epoch: int, epochs: int, accuracy: float) -> dict[str, Any]:
    """A line of `metrics.jsonl`; accuracies rise to `accuracy` in the last epoch."""
    left = (epochs - epoch) / epochs
    return {
        "epoch": epoch,
        "epochs": epochs,
        "step": 50 * epoch,
        "learning_rate": 0.24 * left,
        "train_loss": 1.0 + left,
        "train_accuracy": 0.95 - 0.6 * left**2,
        "test_loss": 1.1 + left,
        "test_accuracy": accuracy - accuracy / 2 * left**2,
        "validation_loss": None,
        "validation_accuracy": None,
        "seconds_train": 55.1,
        "seconds_evaluate": 4.9,
        "images_per_second": 907.0,
    }


def write_metrics(run: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write `metrics.jsonl`."""
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def plusx(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command as a user gives it, in a process of its own."""
    command = [sys.executable, "-m", "plusx", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd)


@pytest.fixture
def nodes() -> Callable[[Tensor], Iterator[Node]]:
    """Every step of the autograd graph that made a tensor."""

    def walk(y: Tensor) -> Iterator[Node]:
        seen, ahead = set(), [y.grad_fn]
        while ahead:
            node = ahead.pop()
            if node is not None and node not in seen:
                seen.add(node)
                yield node
                ahead += [following for following, _ in node.next_functions]

    return walk


def _status(field: str) -> int:
    """A line of this process's status, in bytes."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


@pytest.fixture
def memory_below() -> Callable[[int], AbstractContextManager[None]]:
    """`with memory_below(2**30):` fails if the block needs more; four times that much is refused to it."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("only Linux tells the peak of a part of a process")

    @contextmanager
    def below(most: int) -> Iterator[None]:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        before, limits = _status("VmRSS"), resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + 4 * most, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, limits)
        assert _status("VmHWM") - before < most

    return below


@pytest.fixture
def read_only() -> Iterator[Callable[..., None]]:
    """Makes folders read-only; root, whom permissions don't stop, is nobody until the test ends."""
    user = os.geteuid()

    def refuse(*folders: Path) -> None:
        for folder in folders:
            folder.chmod(0o555)
        if user == 0:
            os.seteuid(65534)

    yield refuse
    os.seteuid(user)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, unlike `tmp_path`."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one mebibyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True)
    if mount.returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)
