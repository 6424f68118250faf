"""Small shards of the sample's pictures, on disk and served over HTTP."""

import io
import tarfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plusx.data import sample

IMAGES, LABELS = sample("train")


class Make:
    """Writes tar files of the sample's pictures."""

    def png(self, number: int) -> bytes:
        file = io.BytesIO()
        Image.fromarray(IMAGES[number]).save(file, "png")
        return file.getvalue()

    def files(self, number: int, label: int | str | None = None) -> list[tuple[str, bytes]]:
        """Picture `number` of the sample, and its label, or another one."""
        text = str(LABELS[number] if label is None else label).encode()
        return [(f"{number:06d}.png", self.png(number)), (f"{number:06d}.cls", text)]

    def tar(self, path: Path, files: Sequence[tuple[str, bytes]]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w") as archive:
            for name, content in files:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return path

    def shard(self, path: Path, numbers: Iterable[int]) -> Path:
        return self.tar(path, [file for number in numbers for file in self.files(number)])


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PLUSX_CACHE", str(place))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return place


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, make: Make) -> Path:
    """Twelve shards of uneven length, 5 … 16 pictures of the sample, and the names of its classes."""
    place = tmp_path_factory.mktemp("shards")
    order = np.random.default_rng(0).permutation(len(IMAGES))
    for number in range(12):
        chosen, order = order[: 5 + number], order[5 + number :]
        make.shard(place / f"train-{number:03d}.tar", chosen.tolist())
    (place / "classes.txt").write_text("".join(f"class {number}\n" for number in range(10)))
    return place


class Web:
    """Serves folders with Python's own server; a call gives an address, and a list of what was asked."""

    def __init__(self) -> None:
        self.running: list[ThreadingHTTPServer] = []

    def __call__(self, folder: Path) -> tuple[str, list[str]]:
        asked: list[str] = []

        class Handler(SimpleHTTPRequestHandler):
            def log_request(self, *_: object) -> None:
                asked.append(f"{self.command} {self.path}")

            def log_message(self, *_: object) -> None:
                pass

        http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        self.running.append(http)
        return f"http://127.0.0.1:{http.server_port}", asked

    def stop(self) -> None:
        while self.running:
            http = self.running.pop()
            http.shutdown()
            http.server_close()


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.stop()
