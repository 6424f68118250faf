"""A server on a free port, in a thread, and a real browser: Chromium with its driver."""

import http.client
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the pages need: pip install 'plusx[app]'")
uvicorn = pytest.importorskip("uvicorn", reason="the pages need: pip install 'plusx[app]'")

from plusx.app.server import build  # noqa: E402


@dataclass
class Served:
    port: int
    runs: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> "Reply":
        """Ask as a program may: nothing is tidied on the way, neither the path nor the headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.putrequest(method, path, skip_host="Host" in named)
        if body is not None and "Content-Length" not in named:
            named["Content-Length"] = str(len(body))
        for name, value in named.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        return Reply(response.status, dict(response.getheaders()), response.read())

    def post(self, path: str, body: bytes = b"") -> "Reply":
        """Ask as a page of this server does."""
        return self.ask(path, "POST", body, Origin=self.address)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes
    json: Any = field(init=False)

    def __post_init__(self) -> None:
        self.headers = {name.lower(): value for name, value in self.headers.items()}
        is_json = self.headers.get("content-type") == "application/json"
        self.json = json.loads(self.body) if is_json else None


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    servers = []

    def begin(**options: Any) -> Served:
        runs = options.pop("runs", None) or tmp_path_factory.mktemp("runs")
        listener = socket.create_server(("127.0.0.1", 0))
        app = build(runs=runs, **options)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1)
        )
        threading.Thread(target=server.run, args=([listener],), daemon=True).start()
        servers.append(server)
        until = time.monotonic() + 30
        while not server.started and time.monotonic() < until:
            time.sleep(0.02)
        return Served(listener.getsockname()[1], runs)

    yield begin
    for server in servers:
        server.should_exit = True


@pytest.fixture(scope="session")
def served(start: Callable[..., Served]) -> Served:
    return start()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Chromium, without a window."""
    selenium = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install selenium")
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("no Chromium with its driver here: apt install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                     "--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    window = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    window.set_script_timeout(60)
    yield window
    window.quit()
