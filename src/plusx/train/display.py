"""What a person sees of a run: a live screen on a terminal, plain lines elsewhere, nothing if asked."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from plusx.console import redraws, say
from plusx.text import clock, percent, visible
from plusx.train.journal import EpochRecord
from plusx.train.recipe import Recipe

Mode = Literal["live", "plain", "quiet"]
AROUND = 9  # lines of a live screen that are not epochs: the panel, the heads, the bars and some room


def choose_mode(console: Console, quiet: bool) -> Mode:
    """Live on a terminal that can redraw and in a notebook, plain lines elsewhere."""
    if quiet:
        return "quiet"
    return "live" if redraws(console) else "plain"


@dataclass
class Display:
    """The screen of one run, told by the loop what happens.

    Args:
        recipe: the run's settings.
        console: where to print.
        mode: "live", "plain" or "quiet".
        transient: the live screen disappears when the run ends.
    """

    recipe: Recipe
    console: Console
    mode: Mode
    transient: bool = False
    facts: str = ""
    records: list[EpochRecord] = field(default_factory=list)
    closing: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Prepare the bars; nothing is shown before `begin`."""
        self.bars = Progress(
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=self.console,
            expand=True,
        )
        self.live: Live | None = None
        self.told = (0, 0)  # the epoch and its quarter that a plain line has last told of

    def begin(self, facts: str, steps: int, steps_per_epoch: int, done: int) -> None:
        """Show the header: `facts` is one line about network, data and machine."""
        self.facts = visible(facts)
        self.steps, self.steps_per_epoch = steps, steps_per_epoch
        self.run_task = self.bars.add_task("run", total=steps, completed=done, note="")
        self.epoch_task = self.bars.add_task(
            "epoch", total=steps_per_epoch, completed=done % steps_per_epoch, note=""
        )
        if self.mode == "live":
            self.live = Live(
                self._screen(bars=True),
                console=self.console,
                refresh_per_second=4,
                get_renderable=self._now,
                transient=self.transient,
            )
            self.live.start()
        elif self.mode == "plain":
            self.say(f"plusx {self.recipe.name}: {self.facts}")

    def step(self, step: int, loss: float, accuracy: float, rate: float, seconds_left: float) -> None:
        """After a step: running loss and accuracy of the epoch, pictures a second, time left."""
        in_epoch = (step - 1) % self.steps_per_epoch + 1
        self.bars.update(
            self.epoch_task,
            completed=in_epoch,
            description=f"epoch {(step - 1) // self.steps_per_epoch + 1}",
            note=f"loss {loss:.3f}  accuracy {percent(accuracy, 1)}",
        )
        note = f"{rate:,.0f} images/s  ETA {clock(seconds_left)}"
        self.bars.update(self.run_task, completed=step, note=note)
        reached = (step - 1) // self.steps_per_epoch, in_epoch // max(1, self.steps_per_epoch // 4)
        news, self.told = reached > self.told and reached[1] > 0, reached
        if self.mode == "plain" and news and in_epoch < self.steps_per_epoch:
            self.say(f"  step {step}/{self.steps}  loss {loss:.3f}  accuracy {percent(accuracy, 1)}  {note}")

    def epoch(self, record: EpochRecord) -> None:
        """After an epoch's evaluation."""
        self.records.append(record)
        if self.mode == "plain":
            measured = ""
            if record.test_accuracy is not None:
                measured = f"test {percent(record.test_accuracy)}  "
            elif record.validation_accuracy is not None:
                measured = f"validation {percent(record.validation_accuracy)}  "
            self.say(
                f"epoch {record.epoch}/{record.epochs}  train loss {record.train_loss:.4f}  "
                f"train {percent(record.train_accuracy)}  {measured}"
                f"{record.images_per_second:,.0f} images/s  {record.seconds_train:.1f} s"
            )

    def say(self, line: str) -> None:
        """One line of text, unless quiet."""
        if self.mode != "quiet":
            say(self.console, line)

    def stop(self) -> None:
        """Leave the terminal as it was; the last screen stays."""
        if self.live is not None:
            self.live.stop()
            self.live = None

    def finish(self, closing: Sequence[str]) -> None:
        """Show the closing lines under the table and let go of the terminal."""
        self.closing = [visible(line) for line in closing]
        if self.live is None:
            for line in closing:
                self.say(line)
        self.stop()

    def svg(self, typed: str) -> str:
        """The last screen under the command that showed it, as an SVG picture, the same for every mode.

        Args:
            typed: the command; one that doesn't train was no command of plusx, but a program that uses it.
        """
        command = visible(typed) if typed.startswith("plusx train") else f"plusx train {self.recipe.name}"
        recorder = Console(
            record=True, width=100, file=io.StringIO(), force_terminal=True, force_jupyter=False
        )
        recorder.print(Text(f"$ {command}", style="bold"))
        recorder.print(self._screen(bars=False))
        return recorder.export_svg(title="plusx")

    def _now(self) -> RenderableType:
        return self._screen(bars=not self.closing)

    def _screen(self, *, bars: bool) -> RenderableType:
        table = Table(box=None, pad_edge=False, expand=True, header_style="dim")
        held_out = any(r.validation_accuracy is not None for r in self.records)
        for title in ("epoch", "rate", "train loss", "train", *(("validation",) if held_out else ()), "test"):
            table.add_column(title, justify="right")
        table.add_column("images/s", justify="right")
        table.add_column("seconds", justify="right")
        # A live screen that is taller than the terminal would lose its end, the bars.
        room = max(1, self.console.height - AROUND) if bars else len(self.records)
        for r in self.records[-room:]:
            last = r.epoch == r.epochs
            table.add_row(
                f"{r.epoch}/{r.epochs}",
                f"{r.learning_rate:.4f}",
                f"{r.train_loss:.4f}",
                percent(r.train_accuracy),
                *((percent(r.validation_accuracy),) if held_out else ()),
                Text(percent(r.test_accuracy), style="bold green" if last else "green"),
                f"{r.images_per_second:,.0f}",
                f"{r.seconds_train:.1f}",
            )
        header = Panel(
            Text(self.facts), title=f"plusx · {self.recipe.name}", title_align="left", border_style="blue"
        )
        parts: list[RenderableType] = [header, table]
        if bars:
            parts.append(self.bars)
        if self.closing:
            parts.append(Panel(Text("\n".join(self.closing)), border_style="green"))
        return Group(*parts)
