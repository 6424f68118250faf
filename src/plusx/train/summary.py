"""A run in a few words and figures: the line that it begins with, its last lines, and `result.json`."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

import plusx
from plusx.device import peak_memory_bytes
from plusx.text import clock, counted, percent
from plusx.train.checkpoint import Position
from plusx.train.journal import EpochRecord
from plusx.train.recipe import Recipe


def headline(
    recipe: Recipe,
    model: nn.Module,
    device: torch.device,
    precision: torch.dtype,
    keeps_memory: bool,
    processes: int = 1,
    recorded: bool = False,
) -> str:
    """What is trained, where and how: every choice that makes it fast, in one line."""
    training = recipe.training
    numbers = str(precision).removeprefix("torch.")
    if device.type == "cpu" and training.precision == "auto" and precision == torch.float32:
        numbers += " (this processor has no bfloat16)"
    return " · ".join(
        (
            f"{recipe.model.name}, {_parameters(model):,} parameters",
            f"{counted(training.epochs, 'epoch')}, seed {training.seed}",
            (f"{processes} processes, " if processes > 1 else "")
            + str(device)
            + (f", {counted(torch.get_num_threads(), 'thread')}" if device.type == "cpu" else ""),
            f"{numbers}, engine {training.engine}"
            + (", freed memory kept" if keeps_memory else "")
            + (", steps recorded" if recorded else ""),
        )
    )


def result_of(
    recipe: Recipe,
    model: nn.Module,
    device: torch.device,
    position: Position,
    last: EpochRecord,
    accuracy_with_views: float | None,
    pictures: int,
) -> dict[str, Any]:
    """What `result.json` holds; docs/how-a-run-works.md explains each key."""
    training = recipe.training
    seconds = {
        "setup": position.setup_seconds,
        "compile": position.compile_seconds,
        "train": position.train_seconds,
        "evaluate": position.evaluate_seconds,
    }
    return {
        "recipe": recipe.name,
        "model": recipe.model.name,
        "parameters": _parameters(model),
        "epochs": training.epochs,
        "seed": training.seed,
        "engine": training.engine,
        "device": str(device),
        "test_accuracy": last.test_accuracy,
        "test_accuracy_tta": accuracy_with_views,
        "train_accuracy": last.train_accuracy,
        "seconds": {k: round(v, 2) for k, v in {**seconds, "total": sum(seconds.values())}.items()},
        "images_per_second": round(training.epochs * pictures / position.train_seconds, 1),
        "peak_memory_bytes": peak_memory_bytes(device),
        "plusx_version": plusx.__version__,
        "torch_version": torch.__version__,
    }


def closing_lines(result: dict[str, Any], views: str, run: Path) -> list[str]:
    """What a run says at its end."""
    tta = result["test_accuracy_tta"]
    accuracy = f"test accuracy {percent(result['test_accuracy'])} (last epoch)"
    return [
        accuracy if tta is None else f"{accuracy}   with {views} views {percent(tta)}",
        f"trained in {clock(result['seconds']['train'])}, {result['images_per_second']:,.0f} images/s, "
        f"peak memory {result['peak_memory_bytes'] / 2**30:.1f} GiB",
        f"everything is in {run}",
    ]


def _parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
