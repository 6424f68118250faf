"""The figures of each epoch for TensorBoard, beside `metrics.jsonl` (`--log tensorboard`)."""

from dataclasses import asdict
from pathlib import Path

from plusx.errors import optional
from plusx.train.journal import EpochRecord

CURVES = {
    f"{quantity}/{split}": f"{split}_{quantity}"
    for quantity in ("accuracy", "loss")
    for split in ("train", "validation", "test")
} | {"learning rate": "learning_rate", "pictures a second": "images_per_second"}


class TensorBoard:
    """An event file; `tensorboard --logdir runs` shows all runs that keep one.

    Args:
        folder: where it is kept.
        epochs_done: what an interrupted run logged beyond these epochs is taken back.

    Raises:
        UserError: if TensorBoard is not installed.
    """

    def __init__(self, folder: Path, epochs_done: int) -> None:
        """Open the file."""
        optional("tensorboard", "tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=epochs_done + 1)

    def append(self, record: EpochRecord) -> None:
        """Add the figures of an epoch that were measured, and write them out."""
        values = asdict(record)
        for title, key in CURVES.items():
            if values[key] is not None:
                self._writer.add_scalar(title, values[key], record.epoch)
        self._writer.flush()
