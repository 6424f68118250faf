"""How much of a run is still to come, in steps and in seconds."""

from dataclasses import dataclass

from plusx.errors import UserError
from plusx.inference import VIEWS
from plusx.train.checkpoint import Position
from plusx.train.recipe import Evaluation, Training

FIXED = 0.2  # the part of a step's work that does not shrink with the pictures


def refuse_odd_batches(batch_size: int, pictures: int, processes: int) -> None:
    """Make sure that a batch can be filled and shared.

    Raises:
        UserError: if there are fewer pictures than a batch has, or fewer than two for each process.
    """
    if pictures < batch_size:
        raise UserError(f"training.batch_size={batch_size} is larger than the {pictures} training pictures")
    # An epoch's steps are even, so the smallest may have half of a batch.
    smallest = pictures // -(-pictures // batch_size)
    if smallest < 2 * processes:
        raise UserError(
            f"training.batch_size={batch_size} makes steps of {smallest} of the {pictures} pictures, "
            f"fewer than 2 for each of {processes} processes"
        )


@dataclass(frozen=True)
class Plan:
    """The steps of a run: so many an epoch, among which the pictures are shared out evenly.

    Args:
        training: the recipe's table.
        pictures: of an epoch.
        size: their side, in pixels.

    >>> plan = Plan(Training(epochs=3, batch_size=100), pictures=250, size=32)
    >>> plan.steps_per_epoch, plan.steps
    (3, 9)
    """

    training: Training
    pictures: int
    size: int

    @property
    def steps_per_epoch(self) -> int:
        """As few as keep a step within the batch size."""
        return -(-self.pictures // self.training.batch_size)

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.steps_per_epoch * self.training.epochs

    def seconds_left(self, position: Position, evaluation: Evaluation) -> float:
        """The time that the rest of the run will take: its steps at the pace of the epoch begun.

        And its measurements, each as long as those so far, of which the first epoch knows none.
        """
        began = position.step - ((position.step - 1) % self.steps_per_epoch + 1)
        done = self._work(position.step) - self._work(began)
        training = (self._work(self.steps) - self._work(position.step)) / done * position.epoch_seconds
        measured = began // self.steps_per_epoch // evaluation.every
        if not measured:
            return training
        last = len(VIEWS[evaluation.views]) if evaluation.views != "none" else 0
        to_come = -(-self.training.epochs // evaluation.every) + last - measured
        return training + to_come * position.evaluate_seconds / measured

    def side(self, epoch: int) -> int:
        """The pictures' side in an epoch (from 0), in pixels."""
        small = epoch < self.training.small_epochs
        return min(self.training.small_size, self.size) if small else self.size

    def _work(self, step: int) -> float:
        """The work of all steps up to this one, in steps at full size."""
        small = min(step, self.training.small_epochs * self.steps_per_epoch)
        of_small = FIXED + (1 - FIXED) * (self.side(0) / self.size) ** 2
        return small * of_small + (step - small)
