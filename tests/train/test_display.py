"""The screen of a run: what a person sees of a long one."""

import html
import io
import re

import pytest
import torch
from rich.console import Console

from plusx.train.display import Display
from plusx.train.journal import EpochRecord
from plusx.train.recipe import load_recipe
from plusx.train.summary import headline


def record(epoch: int) -> EpochRecord:
    return EpochRecord(
        epoch=epoch,
        epochs=40,
        step=8 * epoch,
        learning_rate=0.1,
        train_loss=1.0,
        train_accuracy=0.5,
        test_loss=1.0,
        test_accuracy=0.5,
        validation_loss=None,
        validation_accuracy=None,
        seconds_train=1.0,
        seconds_evaluate=1.0,
        images_per_second=100.0,
    )


@pytest.mark.parametrize("height", [12, 24])
def test_a_long_run_keeps_its_bars_on_the_screen(height: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=height)
    display = Display(load_recipe("fast"), console, "quiet")
    display.begin("a network, its pictures and its machine", 320, 8, 0)
    display.records = [record(epoch) for epoch in range(1, 31)]
    display.step(241, 1.0, 0.5, 100.0, 60.0)
    lines = console.render_lines(display._now(), console.options)
    text = ["".join(part.text for part in line) for line in lines]
    assert len(text) <= height
    assert any("30/40" in line for line in text)
    assert any("ETA 1:00" in line for line in text)
    assert "1/40" in display.svg("plusx train")


def test_the_picture_of_the_terminal_begins_with_what_was_typed() -> None:
    display = Display(load_recipe("fast"), Console(file=io.StringIO()), "quiet")

    def first_line(typed: str) -> str:
        line = re.search(r">(\$[^<]*)<", display.svg(typed))
        assert line
        return html.unescape(line[1]).replace("\xa0", " ").strip()

    for typed in ("plusx train --data sample --epochs 1 --seed 3", "plusx train --resume 'my runs/a'"):
        assert first_line(typed) == f"$ {typed}"
    assert first_line("plusx tests/train -x") == "$ plusx train fast"  # no command of plusx


def test_one_epoch_by_one_thread_is_no_plural() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for epochs, says in [
            (1, "· 1 epoch, seed 0 · cpu, 1 thread ·"),
            (5, "· 5 epochs, seed 0 · cpu, 1 thread ·"),
        ]:
            recipe = load_recipe("fast", {"training.epochs": epochs})
            device = torch.device("cpu")
            assert says in headline(recipe, torch.nn.ReLU(), device, torch.float32, keeps_memory=False)
    finally:
        torch.set_num_threads(threads)
