import json
import os
import threading

import pytest

from plusx.files import write_whole
from plusx.train.journal import EpochRecord, Journal
from plusx.train.processes import Processes

RECORD = EpochRecord(1, 3, 10, 0.1, 2.0, 0.3, 1.9, 0.4, None, None, 5.0, 1.0, 100.0)


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


def test_the_journal_drops_lines_beyond_the_checkpoint(tmp_path) -> None:
    path = tmp_path / "metrics.jsonl"
    journal = Journal(path, 0, Processes())
    for _ in range(3):
        journal.append(RECORD)
    assert len(path.read_text().splitlines()) == 3
    resumed = Journal(path, 1, Processes())
    resumed.append(RECORD)
    lines = path.read_text().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0])["test_accuracy"] == 0.4
