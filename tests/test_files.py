"""Files written whole: what was there stays until the new one is finished, whatever happens meanwhile."""

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from plusx.files import write_whole
from tests.conftest import contents


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path, monkeypatch) -> None:
    path = tmp_path / "result.json"
    write_whole(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_who_writes_the_same_file_at_once_never_meets(tmp_path, monkeypatch) -> None:
    path, flush = tmp_path / "index.npz", os.fsync

    def meanwhile(file: int) -> None:
        monkeypatch.setattr(os, "fsync", flush)
        other = threading.Thread(target=write_whole, args=(path, "the other's"))
        other.start()
        other.join()
        assert path.read_text() == "the other's"
        flush(file)

    monkeypatch.setattr(os, "fsync", meanwhile)
    write_whole(path, "mine")
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_keeps_what_was_there_and_leaves_nothing_else(small_disk) -> None:
    write_whole(small_disk / "result.json", "old")
    before = contents(small_disk)
    with pytest.raises(OSError, match="No space left on device") as error:
        write_whole(small_disk / "result.json", bytes(2**21))
    assert error.value.filename == str(small_disk / "result.json")
    assert contents(small_disk) == before


def test_a_read_only_disk_is_told_by_the_file_s_own_name(tmp_path, monkeypatch) -> None:
    def refuse(path: Path, **_: object) -> None:  # such a disk does so even where there is nothing to remove
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OSError, match="Read-only") as error:
        write_whole(tmp_path / "model.onnx", b"")
    assert error.value.filename == str(tmp_path / "model.onnx")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, MemoryError])
def test_an_interrupt_while_writing_leaves_the_old_file_alone(tmp_path, monkeypatch, stop) -> None:
    write_whole(tmp_path / "a", "old")

    def interrupted(_: int) -> None:
        raise stop

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(stop):
        write_whole(tmp_path / "a", "new")
    assert contents(tmp_path) == {"a": b"old"}


def test_what_a_killed_process_left_is_written_over(tmp_path) -> None:
    killed = (
        "import os, sys; from pathlib import Path; from plusx.files import write_whole\n"
        "os.fsync = lambda _: os.kill(os.getpid(), 9)\n"
        "write_whole(Path(sys.argv[1]), 'half')"
    )
    assert subprocess.run([sys.executable, "-c", killed, tmp_path / "a"]).returncode == -9
    ((name, half),) = contents(tmp_path).items()
    write_whole(tmp_path / "a", "whole")
    assert contents(tmp_path) == {"a": b"whole", name: b"half"} == {"a": b"whole", name: half}
    long_ago = time.time() - 4000
    os.utime(tmp_path / name, (long_ago, long_ago))
    (tmp_path / "a.my-own.part").write_text("precious")
    os.utime(tmp_path / "a.my-own.part", (long_ago, long_ago))
    write_whole(tmp_path / "a", "again")
    assert contents(tmp_path) == {"a": b"again", "a.my-own.part": b"precious"}


def test_nothing_is_written_through_a_link_that_lies_there(tmp_path) -> None:
    (tmp_path / "precious").write_text("mine")
    for name in ("a", f"a.{os.getpid()}-{threading.get_native_id()}.part"):
        (tmp_path / name).symlink_to(tmp_path / "precious")
    write_whole(tmp_path / "a", "new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "a").is_symlink()
    assert contents(tmp_path) == {"a": b"new", "precious": b"mine"}
