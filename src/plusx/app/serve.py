"""Starting the server: where it listens, who may come, and the address to open."""

import re
import secrets
import socket
import webbrowser
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from plusx.app.guard import is_loopback
from plusx.app.server import build
from plusx.errors import UserError
from plusx.text import Language

SHORTEST_TOKEN = 12


@dataclass(frozen=True)
class Settings:
    """What the command line says.

    Attributes:
        host: the address to listen at.
        port: 0 takes a free one.
        token: what visitors must know; needed where other machines can reach the host, and made up there
            unless given.
        runs: the folder of the run folders; made when a run starts.
        data: a folder of pictures to train on.
        language: of the pages; the browser's unless given.
        browser: open one.
    """

    host: str = "127.0.0.1"
    port: int = 2026
    token: str | None = None
    runs: Path = Path("runs")
    data: Path | None = None
    language: Language | None = None
    browser: bool = True


def serve(settings: Settings) -> None:
    """Serve the pages until Ctrl-C.

    Raises:
        UserError: if the address is taken, the token is too short or can't stand in an address, the data
            folder is missing, or the runs' folder is something else.
    """
    token = settings.token
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise UserError(f"--token needs at least {SHORTEST_TOKEN} characters; leave it out to get one made")
    # It goes into an address and into a cookie, as it is.
    if token is not None and not re.fullmatch(r"[A-Za-z0-9._~-]+", token):
        raise UserError("--token takes only A–Z, a–z, 0–9 and - . _ ~; leave it out to get one made")
    if settings.data is not None and not settings.data.is_dir():
        raise UserError(f"--data {settings.data} is no folder")
    if settings.runs.exists() and not settings.runs.is_dir():
        raise UserError(f"--runs {settings.runs} is no folder")
    if token is None and not is_loopback(settings.host):
        token = secrets.token_urlsafe(18)
    listener = _listen(settings.host, settings.port)
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{shown}:{listener.getsockname()[1]}/" + (f"?token={token}" if token else "")
    print(f"plusx app: {address}   (Ctrl-C ends it)", flush=True)
    app = build(runs=settings.runs, data=settings.data, language=settings.language, token=token)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, lifespan="off", ws="none",
        proxy_headers=False, timeout_keep_alive=30, limit_concurrency=200, timeout_graceful_shutdown=2,
    )  # fmt: skip
    if settings.browser:
        webbrowser.open(address)
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"can't listen at {host} port {port}: {reason}; choose another with --port (0 takes a free one)"
        ) from None
