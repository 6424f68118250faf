"""The journal of a run: `metrics.jsonl`, one line an epoch, for machines to read."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from plusx.errors import UserError
from plusx.files import write_whole
from plusx.text import counted
from plusx.train.processes import Processes


@dataclass(frozen=True)
class EpochRecord:
    """One line of `metrics.jsonl`. Losses are means in nats, accuracies 0…1, times seconds.

    train_loss and train_accuracy are running means over the epoch, on augmented pictures, while the weights
    move; the others are measured after the epoch. Where pictures are held out, test_* stay null until the
    last epoch.
    """

    epoch: int
    epochs: int
    step: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    seconds_train: float
    seconds_evaluate: float
    images_per_second: float


class Journal:
    """The lines of `metrics.jsonl`, kept as many as the run has really finished.

    Args:
        path: the file; made on the first line.
        epochs_done: lines beyond these are dropped: a run that died after writing one will write it again.
        processes: the first of them reads and writes the file; all have its lines.
    """

    def __init__(self, path: Path, epochs_done: int, processes: Processes) -> None:
        """Read what stands, up to the epoch that the checkpoint has finished.

        Raises `UserError` if one of these lines is damaged or missing.
        """
        self.path, self.processes = path, processes
        content = path.read_bytes() if processes.leads and path.exists() else b""
        lines = (processes.from_leader(content) or b"").decode("utf-8", "replace").splitlines()
        self.records = [self._record(line, number) for number, line in enumerate(lines[:epochs_done], 1)]
        if len(self.records) < epochs_done:
            raise UserError(
                f"{path} tells of {counted(len(lines), 'epoch')}, but the checkpoint of {epochs_done}; "
                "start a new run"
            )

    def _record(self, line: str, number: int) -> EpochRecord:
        try:
            return TypeAdapter(EpochRecord).validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            what = ": ".join([*map(str, first["loc"]), first["msg"]])
            raise UserError(f"{self.path} line {number} is damaged ({what}); start a new run") from error

    def append(self, record: EpochRecord) -> None:
        """Add a line; the file is replaced in one step."""
        self.records.append(record)
        if self.processes.leads:
            write_whole(self.path, "".join(json.dumps(asdict(r)) + "\n" for r in self.records))
