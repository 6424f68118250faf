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


@pytest.mark.parametrize("fault", [503, 0])
def test_a_busy_server_and_one_that_stalls_are_tried_again(serve, tmp_path, console, monkeypatch, fault):
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    server = serve(CONTENT, faults=[fault, fault])
    download(server.url, tmp_path / "file", console)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_a_file_that_is_not_there_is_asked_for_once(serve, tmp_path, console):
    server = serve(CONTENT, faults=[404])
    with pytest.raises(OSError, match="Not Found"):
        download(server.url, tmp_path / "file", console)
    assert len(server.asked) == 1


@pytest.mark.parametrize("careless", [False, True])
@pytest.mark.parametrize("piece", [0, 1000])
def test_another_version_is_never_joined_to_a_piece(serve, tmp_path, console, careless, piece):
    server = serve(CONTENT, version='"new"', careless=careless)
    (tmp_path / "file.part").write_bytes(bytes(piece))
    with pytest.raises(module.ChangedError, match="it changed on the server"):
        download(server.url, tmp_path / "file", console, stamp=f'{len(CONTENT)} "old"')
    with pytest.raises(module.ChangedError, match="it changed on the server"):
        download(server.url, tmp_path / "file", console, stamp="999 ")
    assert not (tmp_path / "file").exists()
    (tmp_path / "file.part").write_bytes(CONTENT[:piece])
    download(server.url, tmp_path / "file", console, stamp=f'{len(CONTENT)} "new"')
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked[-1] == (f"bytes={piece}-" if piece else None)


def test_a_terminal_sees_a_bar(serve, tmp_path):
    terminal = Console(file=io.StringIO(), force_terminal=True, width=120)
    download(serve(CONTENT).url, tmp_path / "file", terminal)
    shown = terminal.file.getvalue()
    assert "1.0/1.0 MB" in shown
    assert "━" in shown
