"""The story of a run: prepare, train epoch by epoch, measure, write down.

Everything random is drawn anew for each epoch from (seed, epoch), and the learning rate is a function of the
step. So a run that stops at any step and goes on from its checkpoint takes exactly the steps it would have
taken.
"""

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from plusx import ops
from plusx.data import Augmentation, Dataset, channel_statistics, shrink
from plusx.device import keep_memory, resolve_device, resolve_precision
from plusx.errors import UserError
from plusx.files import write_whole
from plusx.inference import doubt_below, normalise, predict, score
from plusx.models import Card, FastNet, begin_from, create_model, save_weights
from plusx.train.checkpoint import Position, load_checkpoint, save_checkpoint
from plusx.train.directory import environment
from plusx.train.display import Display, clock, percent
from plusx.train.interrupt import Interrupted, StopRequest
from plusx.train.journal import EpochRecord, Journal
from plusx.train.optim import make_optimizers, set_rates
from plusx.train.recipe import Recipe
from plusx.train.schedule import factor
from plusx.train.summary import headline, result_of


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
        run: an existing directory; `recipe.toml` is written into it.
        dataset: the pictures.
        display: what the person sees.
        build: makes the network, where the recipe names none ("custom").

    Raises:
        UserError: if the device is not there, or the dataset is smaller than a batch.
    """

    def __init__(
        self,
        recipe: Recipe,
        run: Path,
        dataset: Dataset,
        display: Display,
        build: Callable[[], nn.Module] | None = None,
    ) -> None:
        """Prepare everything before the first step."""
        self.began = time.perf_counter()
        self.recipe, self.run, self.display = recipe, run, display
        training = recipe.training
        self.device = resolve_device(training.device)
        self.precision = resolve_precision(training.precision, self.device)
        self.keeps_memory = keep_memory()
        torch.manual_seed(training.seed)
        if recipe.data.validation:
            dataset = dataset.hold_out(recipe.data.validation, training.seed)
        self.dataset = dataset
        count = len(dataset.train_labels)
        if count < training.batch_size:
            raise UserError(
                f"training.batch_size={training.batch_size} is larger than the {count} training pictures"
            )
        mean, std = channel_statistics(dataset.train_images)
        self.card = Card(
            model=recipe.model.name,
            residual=recipe.model.residual,
            classes=dataset.classes,
            mean=tuple(mean),
            std=tuple(std),
            input_size=dataset.train_images.shape[1],
        )
        self.images = torch.from_numpy(dataset.train_images).to(self.device)
        self.labels = torch.from_numpy(dataset.train_labels).to(self.device)
        self.mean, self.std = (torch.tensor(v, dtype=torch.float32, device=self.device) for v in (mean, std))

        name, residual = recipe.model.name, recipe.model.residual
        model = build() if build else create_model(name, num_classes=len(dataset.classes), residual=residual)
        begun = begin_from(model, recipe.model.begin_from) if recipe.model.begin_from else None
        if begun is not None:
            # The weights expect pictures as they saw them.
            self.card = replace(self.card, mean=begun.mean, std=begun.std)
            self.mean, self.std = (torch.tensor(v, device=self.device) for v in (begun.mean, begun.std))
        elif isinstance(model, FastNet) and not recipe.model.begin_from:
            model.fit_input(normalise(self.images[:5000], self.mean, self.std).cpu())
        self.model = model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average: AveragedModel | None = None
        if training.averaging:
            average = get_ema_multi_avg_fn(training.averaging)
            self.average = AveragedModel(self.model, multi_avg_fn=average, use_buffers=True)
        self.optimizers = make_optimizers(self.model, recipe.optimizer, self.precision)
        data = recipe.data
        self.augment = Augmentation(data.mirror, data.crop, data.cutout, data.light)
        self.steps_per_epoch = count // training.batch_size
        self.steps = self.steps_per_epoch * training.epochs
        self.position = Position()
        self.stop_request = StopRequest()

    def train(self) -> Outcome:
        """Train from where the run stands to its end, then measure and write `result.json` and the weights.

        Returns:
            The result.

        Raises:
            Interrupted: after Ctrl-C or SIGTERM; a checkpoint is written.
            UserError: if the loss is no number any more, or all checkpoints are damaged.
        """
        position = load_checkpoint(
            self.run,
            self.model,
            self.optimizers,
            self.average,
            lambda line: self.display.say(f"warning: {line}"),
        )
        self.position = position
        journal = Journal(self.run / "metrics.jsonl", position.step // self.steps_per_epoch)
        self.display.records = list(journal.records)
        first_line = headline(self.recipe, self.model, self.device, self.precision, self.keeps_memory)
        pictures = f"{self.dataset.name}, {len(self.labels):,} pictures"
        self.display.begin(f"{pictures} · {first_line}", self.steps, self.steps_per_epoch, position.step)
        position.setup_seconds += time.perf_counter() - self.began
        try:
            with self.stop_request, ops.engine(self.recipe.training.engine):
                position.compile_seconds += self._compile()
                while position.step < self.steps:
                    self._train_epoch()
                    journal.append(self._measure_epoch())
                    self.display.epoch(journal.records[-1])
                    self._checkpoint()
                    self._stop_if_asked()
                return self._finish(journal.records[-1])
        finally:
            self.display.stop()

    def _compile(self) -> float:
        """Let a batch through a copy of the network, both ways: what compiles at its first use does it now.

        Returns:
            The seconds it took: many in a fresh environment, later those of a step, since the code is kept.
        """
        began = time.perf_counter()
        rehearsal = copy.deepcopy(self.model).train()
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            count = self.recipe.training.batch_size
            logits = rehearsal(normalise(self.images[:count], self.mean, self.std))
            ops.cross_entropy(logits, self.labels[:count]).backward()
        return time.perf_counter() - began

    def _train_epoch(self) -> None:
        """Take the epoch's steps that are still to take."""
        position, training = self.position, self.recipe.training
        epoch, done = divmod(position.step, self.steps_per_epoch)
        count, height, width, _ = self.images.shape
        order = torch.randperm(count, generator=torch.Generator().manual_seed(training.seed * 1000 + epoch))
        draws = self.augment.draw(count, height, width, seed=training.seed, epoch=epoch)
        small = epoch < training.small_epochs
        self.model.train()
        saved = clock_now = time.perf_counter()
        for index in order.split(training.batch_size)[done : self.steps_per_epoch]:
            pictures = normalise(self.images[index.to(self.device)], self.mean, self.std)
            pictures = self.augment(pictures, draws[index])
            if small:
                pictures = shrink(pictures, training.small_size)
            loss, correct = self._step(pictures, self.labels[index.to(self.device)])

            position.step += 1
            position.loss_sum += loss * len(index)
            position.correct += correct
            position.seen += len(index)
            before, clock_now = clock_now, time.perf_counter()
            position.epoch_seconds += clock_now - before
            self._show_progress()
            self._check(loss)
            if position.step % self.steps_per_epoch == 0:
                break  # the epoch's checkpoint comes after its measurement, which a resumed run must not miss
            overdue = clock_now - saved > 60 * training.checkpoint_minutes
            if overdue or self.stop_request.signal is not None:
                self._checkpoint()
                saved = clock_now = time.perf_counter()
            self._stop_if_asked()

    def _step(self, pictures: Tensor, labels: Tensor) -> tuple[float, int]:
        """Forward, loss, backward, step. Returns the mean loss and how many were right."""
        training = self.recipe.training
        progress = self.position.step / self.steps
        warmup = self.recipe.schedule.warmup_epochs / training.epochs
        set_rates(self.optimizers, factor(self.recipe.schedule.shape, progress, warmup))
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            logits = self.model(pictures)
            loss = ops.cross_entropy(logits, labels, label_smoothing=training.label_smoothing)
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.model)
        return loss.item(), int((logits.argmax(1) == labels).sum())

    def _measure_epoch(self) -> EpochRecord:
        """Measure on the held-out pictures, or on the test set if there are none, and close the epoch."""
        position, dataset = self.position, self.dataset
        began = time.perf_counter()
        validation: tuple[float, float] | None = None
        test: tuple[float, float] | None = None
        if dataset.validation_images is not None and dataset.validation_labels is not None:
            validation = score(self._predict(dataset.validation_images), dataset.validation_labels)
        if validation is None or position.step == self.steps:
            test = score(self._predict(dataset.test_images), dataset.test_labels)
        evaluated = time.perf_counter() - began
        record = EpochRecord(
            epoch=position.step // self.steps_per_epoch,
            epochs=self.recipe.training.epochs,
            step=position.step,
            learning_rate=self.optimizers[0].param_groups[0]["lr"],
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
        position.train_seconds += position.epoch_seconds
        position.evaluate_seconds += evaluated
        position.loss_sum, position.correct, position.seen, position.epoch_seconds = 0.0, 0, 0, 0.0
        return record

    def _finish(self, last: EpochRecord) -> Outcome:
        """Measure the finished network with its views, and write weights, `result.json` and the screen."""
        began = time.perf_counter()
        dataset, views = self.dataset, self.recipe.evaluation.views
        probabilities = self._predict(dataset.test_images)
        with_views = (
            None if views == "none" else score(self._predict(dataset.test_images, views), dataset.test_labels)
        )
        self.position.evaluate_seconds += time.perf_counter() - began
        position = self.position
        result = result_of(
            self.recipe,
            self.model,
            self.device,
            position,
            last,
            with_views and with_views[1],
            len(self.labels),
        )
        card = replace(self.card, doubt=doubt_below(probabilities, dataset.test_labels))
        save_weights(self.run / "model.safetensors", self._evaluated(), card)
        write_whole(
            self.run / "environment.json",
            json.dumps(environment(self.device, self.precision), indent=2) + "\n",
        )
        write_whole(self.run / "result.json", json.dumps(result, indent=2) + "\n")
        tta = "" if with_views is None else f"   with {views} views {percent(with_views[1])}"
        self.display.finish(
            [
                f"test accuracy {percent(last.test_accuracy)} (last epoch){tta}",
                f"trained in {clock(position.train_seconds)}, {result['images_per_second']:,.0f} images/s, "
                f"peak memory {result['peak_memory_bytes'] / 2**30:.1f} GiB",
                f"everything is in {self.run}",
            ]
        )
        write_whole(self.run / "terminal.svg", self.display.svg())
        return Outcome(result, dataset, probabilities.numpy())

    def _predict(self, images: np.ndarray, views: str = "none") -> Tensor:
        return predict(
            self._evaluated().eval(),
            images,
            self.card,
            views=views,
            batch_size=self.recipe.evaluation.batch_size,
            device=self.device,
            precision=self.precision,
        )

    def _evaluated(self) -> nn.Module:
        """The network that is measured and saved: the average of the weights, if one is kept."""
        return self.model if self.average is None else self.average.module

    def _checkpoint(self) -> None:
        save_checkpoint(self.run, self.position, self.model, self.optimizers, self.average)

    def _stop_if_asked(self) -> None:
        if self.stop_request.signal is not None:
            raise Interrupted(self.run, self.stop_request.signal)

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            epoch, step = divmod(self.position.step - 1, self.steps_per_epoch)
            calmer = self.recipe.optimizer.learning_rate / 3
            raise UserError(
                f"the loss became {loss} in epoch {epoch + 1}, step {step + 1}, most likely since the rate "
                f"is too high: try --set optimizer.learning_rate={calmer:.3g}"
            )

    def _work(self, step: int) -> float:
        """The work of all steps up to this one, in steps at full size; a fifth of one does not shrink."""
        training = self.recipe.training
        small = min(step, training.small_epochs * self.steps_per_epoch)
        return small * (0.2 + 0.8 * (training.small_size / self.card.input_size) ** 2) + (step - small)

    def _show_progress(self) -> None:
        position = self.position
        rate = position.seen / position.epoch_seconds
        epoch_began = position.step - position.seen // self.recipe.training.batch_size
        work_done = self._work(position.step) - self._work(epoch_began)
        left = (self._work(self.steps) - self._work(position.step)) / work_done * position.epoch_seconds
        self.display.step(
            position.step, position.loss_sum / position.seen, position.correct / position.seen, rate, left
        )
