"""`plusx app`."""

from pathlib import Path
from typing import Annotated

import typer

from plusx.errors import optional
from plusx.text import Language


def app(
    port: Annotated[int, typer.Option(help="Where to listen; 0 takes a free port.", min=0, max=65535)] = 2026,
    host: Annotated[
        str, typer.Option(help="127.0.0.1 is for this machine alone; any other address needs a token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None, typer.Option(help="What visitors must know; made up for other addresses unless given.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="The folder of the run folders.")] = Path("runs"),
    data: Annotated[
        Path | None, typer.Option(help="A folder of your own pictures to train on, a folder a class.")
    ] = None,
    lang: Annotated[Language | None, typer.Option(help="Of the pages; your browser's unless given.")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
) -> None:
    """Open the lesson in a browser: pages with real numbers, on your own pictures and networks."""
    for library in ("starlette", "uvicorn", "latex2mathml"):
        optional(library, "app")
    from plusx.app import Settings, serve

    serve(Settings(host, port, token, runs, data, lang, browser))
