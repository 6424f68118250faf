import io
import socket

import pytest
from rich.console import Console

from plusx.data import download as module
from plusx.data.download import download

CONTENT = bytes(range(256)) * 4000  # 1 MB


def test_brings_the_file(serve, tmp_path, console):
    server = serve(CONTENT)
    download(server.url, tmp_path / "file", console)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert "1.0 of 1.0 MB" in console.file.getvalue()


def test_a_broken_transfer_goes_on_where_it_broke(serve, tmp_path, console):
    server = serve(CONTENT, cuts=[300_000, 400_000])
    download(server.url, tmp_path / "file", console)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-", "bytes=700000-"]
    assert console.file.getvalue().count("The transfer broke") == 2


def test_a_later_call_goes_on_too(serve, tmp_path, console):
    (tmp_path / "file.part").write_bytes(CONTENT[:123_456])
    server = serve(CONTENT)
    download(server.url, tmp_path / "file", console)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == ["bytes=123456-"]


def test_three_tries_and_then_the_piece_is_kept(serve, tmp_path, console):
    server = serve(CONTENT, cuts=[1000, 1000, 1000])
    with pytest.raises(OSError, match="early"):
        download(server.url, tmp_path / "file", console)
    assert len(server.asked) == 3
    assert (tmp_path / "file.part").read_bytes() == CONTENT[:3000]
    assert not (tmp_path / "file").exists()


def test_a_server_without_ranges_sends_it_all_again(serve, tmp_path, console):
    server = serve(CONTENT, cuts=[300_000], ranges=False)
    download(server.url, tmp_path / "file", console)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_whole_piece_is_not_fetched_again(serve, tmp_path, console):
    (tmp_path / "file.part").write_bytes(CONTENT)
    server = serve(CONTENT)
    download(server.url, tmp_path / "file", console)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_piece_of_something_longer_is_thrown_away(serve, tmp_path, console):
    (tmp_path / "file.part").write_bytes(CONTENT + b"more")
    server = serve(CONTENT)
    download(server.url, tmp_path / "file", console)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT) + 4}-", None]


def test_no_network_is_said_at_once(tmp_path, console, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(module.time, "sleep", lambda _: pytest.fail("it tried again"))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        with pytest.raises(OSError, match="refused"):
            download(url, tmp_path / "file", console)


def test_a_terminal_sees_a_bar(serve, tmp_path):
    terminal = Console(file=io.StringIO(), force_terminal=True, width=120)
    download(serve(CONTENT).url, tmp_path / "file", terminal)
    shown = terminal.file.getvalue()
    assert "1.0/1.0 MB" in shown
    assert "━" in shown
