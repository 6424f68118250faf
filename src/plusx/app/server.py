"""The addresses: /en/convolution is a page, /en/convolution/parts its parts as JSON; `render` makes both."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from plusx.app.forms import FieldError, Form
from plusx.app.guard import Guard
from plusx.app.networks import Networks
from plusx.app.page import House, Page
from plusx.app.pages import PAGES, predict, training
from plusx.app.pictures import SHOWN, Shelf, thumbnail
from plusx.app.render import parts, templates, whole
from plusx.app.runs import Runs
from plusx.app.texts import Texts, preferred
from plusx.text import LANGUAGES, Language

QUICK, SLOW = 4, 1
"""How many answers of each kind are computed at a time; others wait, so memory stays bounded."""
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""A report is a file of the user's, and runs nothing."""


class Lanes:
    """Computes in threads: quick answers beside slow ones, never behind them."""

    def __init__(self) -> None:
        """Two lanes."""
        self._quick, self._slow = anyio.Semaphore(QUICK), anyio.Semaphore(SLOW)

    async def run(self, request: Request, slow: bool, work: Callable[[], Any]) -> Any:
        """What `work` returns; None if whoever asked is gone when its turn comes."""
        async with self._slow if slow else self._quick:
            if slow and await request.is_disconnected():
                return None
            return await to_thread.run_sync(work)


def build(
    *, runs: Path, data: Path | None = None, language: Language | None = None, token: str | None = None
) -> Starlette:
    """The application.

    Args:
        runs: the folder of the run folders.
        data: a folder of pictures to train on.
        language: what the pages are in until the reader switches; the browser's unless given.
        token: who knows it may come from anywhere; None is for this machine alone.
    """
    house = House(Networks(runs), Runs(runs), Shelf(), data)
    lanes = Lanes()

    def language_of(request: Request) -> Language:
        found = request.path_params["language"]
        if found not in LANGUAGES:
            raise HTTPException(404)
        return found

    async def start(request: Request) -> Response:
        chosen = language or preferred(request.headers.get("accept-language", ""))
        return RedirectResponse(f"/{chosen}/", 303)

    async def home(request: Request) -> Response:
        return HTMLResponse(_home(language_of(request)))

    def show(page: Page) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            spoken = language_of(request)
            return HTMLResponse(
                await lanes.run(request, False, lambda: whole(page, request.query_params, house, spoken))
            )

        return answer

    def renew(page: Page) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            spoken = language_of(request)
            slow = page.later is not None
            return JSONResponse(
                await lanes.run(request, slow, lambda: parts(page, request.query_params, house, spoken))
            )

        return answer

    async def upload(request: Request) -> Response:
        texts = Texts("common", language_of(request))
        content = await request.body()
        try:
            name = await lanes.run(request, False, lambda: house.shelf.put(content))
        except FieldError as fault:
            return JSONResponse({"fault": texts(fault.key, **fault.values)})
        return JSONResponse({"picture": name})

    async def answer_file(request: Request) -> Response:
        form = Form(request.query_params)
        try:
            found = await lanes.run(request, False, lambda: predict.as_json(form, house))
        except FieldError as fault:
            raise HTTPException(404) from fault
        return JSONResponse(found, headers={"Content-Disposition": 'attachment; filename="answer.json"'})

    async def act(request: Request) -> Response:
        action = request.path_params["action"]
        if action not in ("start", "stop", "resume"):
            raise HTTPException(404)
        texts = Texts("training", language_of(request))
        sent = QueryParams((await request.body()).decode("utf-8", "replace"))
        return JSONResponse(await lanes.run(request, False, lambda: training.act(action, sent, house, texts)))

    async def report(request: Request) -> Response:
        name = request.path_params["name"]
        path = runs / name / "report.html"
        if name not in house.runs.names() or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, headers={"Content-Security-Policy": REPORT_POLICY})

    async def sample_picture(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in SHOWN:
            raise HTTPException(404)
        return Response(thumbnail(name), media_type="image/png", headers={"Cache-Control": "max-age=86400"})

    routes: list[BaseRoute] = [
        Route("/", start),
        Route("/{language}/", home),
        Route("/{language}/upload", upload, methods=["POST"]),
        Route("/{language}/predict/answer.json", answer_file),
        Route("/{language}/training/{action}", act, methods=["POST"]),
        Route("/runs/{name}/report.html", report),
        Route("/sample/{name}.png", sample_picture),
        Mount("/static", StaticFiles(directory=str(resources.files("plusx.app").joinpath("static")))),
    ]
    for page in PAGES.values():
        routes.append(Route(f"/{{language}}/{page.name}", show(page)))
        routes.append(Route(f"/{{language}}/{page.name}/parts", renew(page)))

    @asynccontextmanager
    async def warming(_: Starlette) -> AsyncIterator[None]:
        """In a thread that the process waits for: at its end torch must not be in the middle of something."""
        stopped = threading.Event()
        threading.Thread(target=_warm, args=(house, stopped)).start()
        yield
        stopped.set()

    return Starlette(
        routes=routes,
        lifespan=warming,
        middleware=[Middleware(Guard, token=token)],
        exception_handlers={404: _missing},
    )


def _home(language: Language) -> str:
    template = templates().get_template("home.html.jinja")
    each = {name: Texts(name, language) for name in PAGES}
    return template.render(t=Texts("home", language), language=language, page=None, query={}, each=each)


def _missing(request: Request, _: Exception) -> Response:
    return HTMLResponse('<p>404 · <a href="/">plusx</a></p>', 404)


def _warm(house: House, stopped: threading.Event) -> None:
    """What the first visitor would wait for, unless the server stops meanwhile."""
    for page in PAGES.values():
        if not stopped.is_set():
            whole(page, QueryParams(), house, "en")
