"""The journal: what happened in a run, a line for each epoch."""

import json

from plusx.train.journal import EpochRecord, Journal
from plusx.train.processes import Processes

RECORD = EpochRecord(1, 3, 10, 0.1, 2.0, 0.3, 1.9, 0.4, None, None, 5.0, 1.0, 100.0)


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
