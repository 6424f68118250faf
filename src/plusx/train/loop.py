"""The story of a run: prepare, train epoch by epoch, measure, write down.

Everything random is drawn anew for each epoch from (seed, epoch), and the learning rate is a function of the
step. So a run that stops at any step and goes on from its checkpoint takes exactly the steps it would have
taken. Several processes take each step together (see `plusx.train.processes`); the story stays the same.
"""

import copy
import json
import math
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from plusx import ops
from plusx.data import Dataset
from plusx.device import keep_memory, resolve_device, resolve_precision
from plusx.environment import environment
from plusx.errors import UserError, optional
from plusx.files import write_whole
from plusx.inference import doubt_below
from plusx.models import save_weights
from plusx.models.weights import WEIGHTS_FILE
from plusx.ops import gpu
from plusx.train.checkpoint import Position, newest_checkpoint, restore, save_checkpoint
from plusx.train.display import Display
from plusx.train.interrupt import Interrupted, StopRequest
from plusx.train.journal import EpochRecord, Journal
from plusx.train.measuring import Measure
from plusx.train.minibatches import Minibatches
from plusx.train.network import frozen_part, prepare, refuse_small_pictures, share_norms
from plusx.train.optim import make_optimizers, rate_of, rates_on, set_rates
from plusx.train.plan import Plan, refuse_odd_batches
from plusx.train.processes import Processes
from plusx.train.recipe import Recipe
from plusx.train.schedule import factor
from plusx.train.step import PlainStep, RecordedStep, Step, Taken, sums_of
from plusx.train.summary import closing_lines, headline, result_of
from plusx.train.tensorboard import TensorBoard

LOOK_SECONDS = 0.1
"""How far a GPU is given work ahead."""


@dataclass(frozen=True)
class Outcome:
    """What a finished run leaves in memory: `result.json`, the pictures, the test set's probabilities."""

    result: dict[str, Any]
    dataset: Dataset
    probabilities: np.ndarray


class Trainer:
    """One run in one directory.

    Args:
        recipe: the settings.
        run: a directory; it exists, and holds `recipe.toml`, where the leading process runs.
        dataset: the pictures.
        display: what the person sees.
        build: makes the network, where the recipe names none ("custom").
        processes: those that train together; this one alone unless given.

    Raises:
        UserError: if the device is not there, the dataset is smaller than a batch, or its pictures are too
            small for the network or for `data.crop`.
    """

    def __init__(
        self,
        recipe: Recipe,
        run: Path,
        dataset: Dataset,
        display: Display,
        build: Callable[[], nn.Module] | None = None,
        processes: Processes | None = None,
    ) -> None:
        """Prepare everything before the first step."""
        self.began = time.perf_counter()
        self.recipe, self.run, self.display = recipe, run, display
        self.processes = processes or Processes()
        training, data = recipe.training, recipe.data
        if training.log == "tensorboard":
            optional("tensorboard", "tensorboard")
        self.device = self.processes.place(resolve_device(training.device))
        self.precision = resolve_precision(training.precision, self.device)
        self.keeps_memory = keep_memory()
        torch.manual_seed(training.seed)
        if data.validation:
            dataset = dataset.hold_out(data.validation, training.seed)
        self.dataset = dataset
        self.feed = dataset.feed(self.device)
        refuse_odd_batches(training.batch_size, self.feed.pictures, self.processes.count)
        self.plan = Plan(training, self.feed.pictures, self.feed.size)

        model, self.card = prepare(recipe.model, self.feed, dataset.classes, build)
        if build is None:
            refuse_small_pictures(model, data.crop, self.feed.size, self.plan.side(0))
        self.frozen = frozen_part(model, recipe.model.freeze)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.minibatches = Minibatches(self.feed, self.plan, data, self.card, self.device, self.processes)
        self.average: AveragedModel | None = None
        if training.averaging:
            average = get_ema_multi_avg_fn(training.averaging)
            self.average = AveragedModel(self.model, multi_avg_fn=average, use_buffers=True)
        self.optimizers = make_optimizers(self.model, recipe.optimizer, self.precision)
        self.together: nn.Module = self.model
        if self.processes.several:
            if training.shared_norm:
                share_norms(self.model)
            self.together = DistributedDataParallel(self.model)
        # A network of the user's own, or all of it by hand, may do what can't be recorded.
        can_be_recorded = build is None and training.engine != "handmade"
        self.recorded = self.device.type == "cuda" and can_be_recorded and not self.processes.several
        self.measure = Measure(
            dataset, self.card, recipe.evaluation, self.device, self.precision, self.processes
        )
        self.position = Position()
        self.test_rows: Tensor | None = None
        self.stop_request = StopRequest()

    def train(self) -> Outcome:
        """Train from where the run stands to its end, then measure and write `result.json` and the weights.

        Returns:
            The result.

        Raises:
            Interrupted: after Ctrl-C or SIGTERM; a checkpoint is written.
            UserError: if the loss is no number any more, or all checkpoints are damaged.
        """
        position, plan = self._go_on_from_checkpoint(), self.plan
        epochs_done = position.step // plan.steps_per_epoch
        journal = Journal(self.run / "metrics.jsonl", epochs_done, self.processes)
        board = self._board(epochs_done)
        self.display.records = list(journal.records)
        self.display.begin(self._headline(), plan.steps, plan.steps_per_epoch, position.step)
        position.setup_seconds += time.perf_counter() - self.began
        try:
            with self.stop_request, ops.engine(self.recipe.training.engine):
                position.compile_seconds += self._compile()
                self.step = self._make_step()
                while position.step < plan.steps:
                    self._train_epoch()
                    record = self._measure_epoch()
                    journal.append(record)
                    if board is not None:
                        board.append(record)
                    self.display.epoch(record)
                    self._checkpoint()
                    (asked,) = self._total([self.stop_request.signal is not None])
                    self._stop_if(bool(asked))
            # An interrupt from here on ends the process at once: the last checkpoint has all it has learned.
            with ops.engine(self.recipe.training.engine):
                return self._finish(journal.records[-1])
        finally:
            self.display.stop()

    def _go_on_from_checkpoint(self) -> Position:
        """Put the leader's newest checkpoint, if there is one, into this process."""

        def warn(line: str) -> None:
            self.display.say(f"warning: {line}")

        content = newest_checkpoint(self.run, warn) if self.processes.leads else None
        content = self.processes.from_leader(content)
        if content is not None:
            self.position = restore(content, self.model, self.optimizers, self.average)
            if self.position.processes != self.processes.count:
                warn(
                    f"begun with {self.position.processes} processes, going on with {self.processes.count}: "
                    "the same steps, but not the same bits"
                )
        self.position.processes = self.processes.count
        return self.position

    def _make_step(self) -> Step:
        """Once the optimisers are as the checkpoint says."""
        step = PlainStep(self.together, self.optimizers, self.precision, self.recipe.training.label_smoothing)
        if not self.recorded:
            return step
        rates_on(self.device, self.optimizers)
        return RecordedStep(step)

    def _board(self, epochs_done: int) -> TensorBoard | None:
        if self.recipe.training.log != "tensorboard" or not self.processes.leads:
            return None
        return TensorBoard(self.run / "tensorboard", epochs_done)

    def _headline(self) -> str:
        what = f"{self.dataset.name}, {self.feed.pictures:,} pictures"
        how = headline(
            self.recipe,
            self.model,
            self.device,
            self.precision,
            self.keeps_memory,
            self.processes.count,
            self.recorded,
        )
        return f"{what} · {how}"

    def _compile(self) -> float:
        """Let a batch through a copy of the network, both ways: what compiles at its first use does it now.

        Returns:
            The seconds it took: many in a fresh environment, later those of a step, since the code is kept.
        """
        began = time.perf_counter()
        training = self.recipe.training
        rehearsal = PlainStep(copy.deepcopy(self.model).train(), [], self.precision, training.label_smoothing)
        pictures = self.minibatches.sample(training.batch_size // self.processes.count)
        labels = torch.zeros(len(pictures), dtype=torch.int64, device=self.device)
        with gpu.prefer_kernels(self.recorded):
            rehearsal(pictures, labels, share=1)
        return time.perf_counter() - began

    def _train_epoch(self) -> None:
        """Take the epoch's steps that are still to take."""
        position, plan = self.position, self.plan
        epoch, done = divmod(position.step, plan.steps_per_epoch)
        self.model.train()
        for part in self.frozen:
            part.eval()
        saved = looked = time.perf_counter()
        taken: list[Taken] = []
        for pictures, labels in self.minibatches.epoch(epoch, done):
            (whole,) = self._total([len(labels)])  # fewer than planned where a picture can't be read
            taken.append(Taken(self._step(pictures, labels, int(whole)), len(labels), int(whole)))
            position.step += 1
            ended = position.step % plan.steps_per_epoch == 0
            if not (ended or self._wants_to_look(looked)):
                continue

            overdue, asked = self._look(taken, saved)
            taken = []
            before, looked = looked, time.perf_counter()
            position.epoch_seconds += looked - before
            self._show_progress()
            if ended:
                break  # the epoch's checkpoint comes after its measurement, which a resumed run must not miss
            if overdue or asked:
                self._checkpoint()
                saved = looked = time.perf_counter()
            self._stop_if(asked)

    def _wants_to_look(self, looked: float) -> bool:
        """Whether to wait for what the steps compute, which on a GPU is done only every `LOOK_SECONDS`.

        Several processes look after every step: all of them have to do so after the same.
        """
        alone_on_gpu = self.device.type == "cuda" and not self.processes.several
        stop = self.stop_request.signal is not None
        return not alone_on_gpu or stop or time.perf_counter() - looked > LOOK_SECONDS

    def _look(self, taken: list[Taken], saved: float) -> tuple[bool, bool]:
        """Wait for the steps taken since the last look, and add up what came of them.

        Args:
            taken: those steps.
            saved: when the last checkpoint was written.

        Returns:
            Whether a checkpoint is overdue, and whether somebody asked to stop.
        """
        minutes = (time.perf_counter() - saved) / 60
        late = self.processes.leads and minutes > self.recipe.training.checkpoint_minutes
        *sums, overdue, asked = self._total([*sums_of(taken), late, self.stop_request.signal is not None])
        first = self.position.step - len(taken)
        for k, step in enumerate(taken):
            loss_sum, correct = sums[2 * k : 2 * k + 2]
            self.position.add(loss_sum, int(correct), step.whole)
            self._check(loss_sum / step.whole, first + k)
        return bool(overdue), bool(asked)

    def _step(self, pictures: Tensor, labels: Tensor, whole: int) -> Tensor:
        """Train on this process's share of `whole` pictures: (2,), its mean loss and how many were right."""
        schedule, progress = self.recipe.schedule, self.position.step / self.plan.steps
        warmup = schedule.warmup_epochs / self.recipe.training.epochs
        set_rates(self.optimizers, factor(schedule.shape, progress, warmup, schedule.power))
        # Gradients are averaged over the processes, so each weighs in by its share of the pictures.
        share = len(labels) / whole * self.processes.count if self.processes.several else 1
        result = self.step(pictures, labels, share)
        if self.average is not None:
            self.average.update_parameters(self.model)
        return result

    def _measure_epoch(self) -> EpochRecord:
        """Measure on the held-out pictures, or on the test set if there are none, and close the epoch."""
        position, began = self.position, time.perf_counter()
        self.processes.align(self._evaluated())
        epoch, last = position.step // self.plan.steps_per_epoch, position.step == self.plan.steps
        validation, test, rows = self.measure.scores(self._evaluated(), epoch, last)
        self.test_rows = rows  # after the last epoch they are the finished network's
        evaluated = time.perf_counter() - began
        record = EpochRecord(
            epoch=epoch,
            epochs=self.recipe.training.epochs,
            step=position.step,
            learning_rate=rate_of(self.optimizers[0]),
            train_loss=position.loss_sum / position.seen,
            train_accuracy=position.correct / position.seen,
            test_loss=test and test[0],
            test_accuracy=test and test[1],
            validation_loss=validation and validation[0],
            validation_accuracy=validation and validation[1],
            seconds_train=position.epoch_seconds,
            seconds_evaluate=evaluated,
            images_per_second=position.seen / position.epoch_seconds,
        )
        position.close_epoch(evaluated)
        return record

    def _finish(self, last: EpochRecord) -> Outcome:
        """Measure the finished network with its views, and write weights, `result.json` and the screen."""
        began, network = time.perf_counter(), self._evaluated()
        probabilities = self.test_rows
        if probabilities is None:  # the run was stopped between its last epoch and its end
            probabilities = self.measure.probabilities(network, self.dataset.test_images)
        with_views = self.measure.accuracy_with_views(network)
        self.position.evaluate_seconds += time.perf_counter() - began
        result = result_of(
            self.recipe, network, self.device, self.position, last, with_views, self.feed.pictures
        )
        outcome = Outcome(result, self.dataset, probabilities.numpy())
        if self.processes.leads:
            self._write(outcome)
        return outcome

    def _write(self, outcome: Outcome) -> None:
        """What the run leaves, but for the pictures and the report page."""
        result, run = outcome.result, self.run
        doubt = doubt_below(torch.from_numpy(outcome.probabilities), outcome.dataset.test_labels)
        save_weights(run / WEIGHTS_FILE, self._evaluated(), replace(self.card, doubt=doubt))
        facts = environment(self.device, self.precision) | {"processes": self.processes.count}
        write_whole(run / "environment.json", json.dumps(facts, indent=2) + "\n")
        write_whole(run / "result.json", json.dumps(result, indent=2) + "\n")
        self.display.finish(closing_lines(result, self.recipe.evaluation.views, run))
        write_whole(run / "terminal.svg", self.display.svg(str(facts["command"])))

    def _evaluated(self) -> nn.Module:
        """The network that is measured and saved: the average of the weights, if one is kept."""
        return self.model if self.average is None else self.average.module

    def _total(self, values: Sequence[float]) -> list[float]:
        return self.processes.total(values, self.device)

    def _checkpoint(self) -> None:
        if self.processes.leads:
            save_checkpoint(self.run, self.position, self.model, self.optimizers, self.average)

    def _stop_if(self, asked: bool) -> None:
        """All processes stop after the same step, whichever of them was asked."""
        if asked:
            self._total([0])  # the others wait for the leader's checkpoint: where one is gone, all are ended
            raise Interrupted(self.run, self.stop_request.signal or signal.SIGTERM)

    def _check(self, loss: float, taken: int) -> None:
        if not math.isfinite(loss):
            epoch, step = divmod(taken, self.plan.steps_per_epoch)
            calmer = self.recipe.optimizer.learning_rate / 3
            raise UserError(
                f"the loss became {loss} in epoch {epoch + 1}, step {step + 1}, most likely since the rate "
                f"is too high: try --set optimizer.learning_rate={calmer:.3g}"
            )

    def _show_progress(self) -> None:
        position = self.position
        self.display.step(
            position.step,
            position.loss_sum / position.seen,
            position.correct / position.seen,
            position.seen / position.epoch_seconds,
            self.plan.seconds_left(position, self.recipe.evaluation),
        )
