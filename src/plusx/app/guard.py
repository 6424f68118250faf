"""Who may ask, and for how much: stands before every page.

- Without a token only this machine asks, and only under its own names: a page of another site whose name
  was made to point here (DNS rebinding) is refused by its Host header.
- With a token, the address printed at the start carries it once; a cookie keeps it. Without it nothing but
  the word "forbidden" is answered.
- What changes something is taken only from pages of this server: another site can make a browser send a
  form here, but not under our origin.
- A body is cut off where the limit is reached, whatever length was announced.
- Every answer has the same headers, refusals and failures too.
"""

import hmac
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plusx.app.pictures import MOST_BYTES

COOKIE = "plusx-token"
MOST_BODY = MOST_BYTES + 2**16
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "style-src-attr 'unsafe-inline'; img-src 'self' data: "
    "blob:; connect-src 'self'; media-src blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address.

    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("lab.example")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class TooLarge(Exception):  # noqa: N818  (it ends a request, and is answered)
    """A body went beyond the limit."""


class Guard:
    """See the module.

    Args:
        app: what it stands before.
        token: None lets this machine in, and nobody else.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        """Keep both."""
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a refusal, or hand on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        started, taken = False, 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MOST_BODY:
                raise TooLarge
            return message

        async def headed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, headed)
            return
        try:
            await self._app(scope, limited, headed)
        except TooLarge:
            if not started:
                await PlainTextResponse("too large", 413, {"Connection": "close"})(scope, receive, headed)
        except Exception:
            # Starlette would answer outside of every middleware, without our headers. The traceback goes on,
            # to the server's terminal.
            if not started:
                await JSONResponse({"faults": {"page": "500"}}, 500)(scope, receive, headed)
            raise

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._token is None:
            names = (host, host.rpartition(":")[0])  # without a port, and with one
            if not any(is_loopback(name.removeprefix("[").removesuffix("]")) for name in names):
                return PlainTextResponse("forbidden", 403)
        else:
            query = parse_qsl(scope["query_string"].decode("latin-1"))
            given = dict(query).get("token")
            if given is not None and self._is_token(given):
                return self._admit(scope, [(name, value) for name, value in query if name != "token"])
            if not self._is_token(_cookie(headers.get("cookie", ""))):
                return PlainTextResponse("forbidden", 403)
        if scope["method"] not in ("GET", "HEAD"):
            origin = urlsplit(headers.get("origin", "")).netloc
            if origin != host or headers.get("sec-fetch-site", "same-origin") != "same-origin":
                return PlainTextResponse("forbidden", 403)
            if not headers.get("content-length", "").isdigit():
                return PlainTextResponse("length required", 411)
            if int(headers["content-length"]) > MOST_BODY:
                return PlainTextResponse("too large", 413, {"Connection": "close"})
        return None

    def _is_token(self, given: str) -> bool:
        assert self._token is not None
        return hmac.compare_digest(given.encode(), self._token.encode())

    def _admit(self, scope: Scope, rest: list[tuple[str, str]]) -> Response:
        """The same address without the token, which a cookie keeps from now on."""
        assert self._token is not None
        # One slash: two would lead to another host.
        address = "/" + str(scope["path"]).lstrip("/") + ("?" + urlencode(rest) if rest else "")
        response = RedirectResponse(address, 303)
        response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
        return response


def _cookie(header: str) -> str:
    try:
        cookie = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie else ""
