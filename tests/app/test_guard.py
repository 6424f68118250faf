"""Who is let in, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from plusx.app.guard import MOST_BODY
from plusx.app.pages import pooling
from plusx.app.serve import Settings, serve
from plusx.errors import UserError
from tests.app.conftest import Served

TOKEN = "a-token-of-a-teacher"


@pytest.fixture(scope="module")
def locked(start: Callable[..., Served]) -> Served:
    return start(token=TOKEN)


def test_the_start_page_is_in_the_browser_s_language(served: Served) -> None:
    assert served.ask("/", Accept_Language="zh-CN,zh;q=0.9").headers["location"] == "/zh/"
    assert served.ask("/").headers["location"] == "/en/"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_another_host_s_name_is_refused(served: Served, host: str) -> None:
    assert served.ask("/en/", Host=host).status == 403


@pytest.mark.parametrize("host", ["127.0.0.2:2026", "127.0.0.1", "localhost:2026", "[::1]:2026", "[::1]"])
def test_every_name_of_this_machine_is_let_in(served: Served, host: str) -> None:
    assert served.ask("/en/", Host=host).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_what_another_site_sends_is_refused(served: Served, headers: dict[str, str]) -> None:
    assert served.ask("/en/upload", "POST", b"x", **headers).status == 403


def test_a_browser_s_word_that_a_request_comes_from_elsewhere_counts(served: Served) -> None:
    reply = served.ask("/en/upload", "POST", b"x", Origin=served.address, Sec_Fetch_Site="cross-site")
    assert reply.status == 403


def test_a_body_too_large_is_refused_before_it_is_sent(served: Served) -> None:
    reply = served.ask("/en/upload", "POST", b"", Origin=served.address, Content_Length=str(MOST_BODY + 1))
    assert reply.status == 413
    reply = served.ask("/en/upload", "POST", None, Origin=served.address, Transfer_Encoding="chunked")
    assert reply.status == 411


def test_without_the_token_there_is_nothing(locked: Served) -> None:
    for path in ("/", "/en/", "/en/convolution", "/static/app.js", "/?token=wrong", "/nothing"):
        reply = locked.ask(path)
        assert (reply.status, reply.body) == (403, b"forbidden")
    assert locked.ask("/en/", Cookie="plusx-token=wrong").status == 403
    assert locked.ask("/en/", Cookie="plusx-token").status == 403
    assert locked.ask("/en/upload", "POST", b"x", Origin=locked.address).status == 403


def test_the_token_becomes_a_cookie_and_leaves_the_address(locked: Served) -> None:
    reply = locked.ask(f"//evil.example/?token={TOKEN}&k=5")
    assert reply.status == 303
    assert reply.headers["location"] == "/evil.example/?k=5"  # of this host
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    opened = locked.ask("/en/", Cookie=cookie.split(";")[0], Host="lab.example")
    assert opened.status == 200


def test_every_answer_has_the_headers(
    served: Served, locked: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(pooling, "picture", fail)
    replies = {
        200: served.ask("/en/"),
        303: locked.ask(f"/?token={TOKEN}"),
        403: served.ask("/en/", Host="evil.example"),
        404: served.ask("/en/nothing"),
        413: served.ask("/en/upload", "POST", b"", Origin=served.address, Content_Length=str(MOST_BODY + 1)),
        500: served.ask("/en/pooling/parts"),
    }
    for status, reply in replies.items():
        assert reply.status == status
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["content-security-policy"].startswith("default-src 'none'")
        assert reply.headers["cache-control"] == "no-store"


def test_pages_may_load_from_here_alone(served: Served) -> None:
    reply = served.ask("/en/convolution")
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert b"http://" not in reply.body.replace(b"http://www.w3.org", b"")
    assert b"https://" not in reply.body
    assert b"<script>" not in reply.body


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2f..%2fserver.py",
        "/static//etc/passwd",
        "/sample/..%2f..%2fpyproject.png",
        "/sample/secret.png",
        "/fr/convolution",
        "/en/nothing",
        "/en/predict/answer.json?network=../../etc",
        "/en/predict/answer.json?picture=/etc/passwd",
    ],
)
def test_paths_lead_nowhere_else(served: Served, path: str) -> None:
    assert served.ask(path).status == 404


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(token="short"), "at least 12 characters"),
        (Settings("256.1.1.1", token="a+token&of#a%teacher"), "only A–Z"),
        (Settings("256.1.1.1", token="老师的口令不能用汉字写成"), "only A–Z"),
        (Settings(data=__file__ and None, host="256.1.1.1"), "choose another with --port"),
    ],
)
def test_settings_that_can_t_be_are_explained(settings: Settings, words: str) -> None:
    with pytest.raises(UserError, match=words):
        serve(settings)


def test_a_missing_folder_and_a_taken_port_are_explained(served: Served, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no folder"):
        serve(Settings(data=tmp_path / "none"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--runs .*file is no folder"):
        serve(Settings(runs=tmp_path / "file", data=tmp_path, port=served.port))
    with pytest.raises(UserError, match=rf"port {served.port}: .*choose another"):
        serve(Settings(port=served.port))
