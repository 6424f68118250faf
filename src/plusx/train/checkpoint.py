"""Checkpoints: everything that the rest of a run depends on, in one file that proves itself whole.

A run is a pure function of its recipe, its state and its position: the order of the pictures, their
augmentation and the learning rate are all drawn anew from (seed, epoch, step). So the state is: the network,
the momentum buffers, the averaged network if there is one, the position, and the sums of the epoch begun.

The file is `checkpoints/<step>-<first 16 digits of the content's SHA-256>.safetensors`, so that a damaged one
is told from a whole one by its name alone, and a checkpoint is one file, renamed into place in one step.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter
from safetensors.torch import load, save
from torch import Tensor, nn

from plusx.errors import UserError
from plusx.files import write_whole
from plusx.text import from_json

KEPT = 2
LARGEST = 2**32  # bytes; that of resnet152 with an averaged network has 0.7 GiB
NAME = re.compile(r"\d{8,}-[0-9a-f]{16}")
Count = Annotated[int, Field(ge=0, le=2**53)]
Amount = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


@dataclass
class Position:
    """Where a run stands, and what it has counted on the way.

    Attributes:
        step: optimiser steps done since the beginning.
        loss_sum: sum over the pictures of the epoch begun of their loss.
        correct: pictures of the epoch begun that were classified rightly.
        seen: pictures of the epoch begun that were trained on.
        processes: how many processes trained together when it was written.
        epoch_seconds: training time spent on the epoch begun.
        train_seconds: training time of the epochs done, over all resumptions; the others likewise.
    """

    step: Count = 0
    loss_sum: Amount = 0.0
    correct: Count = 0
    seen: Count = 0
    processes: Annotated[int, Field(ge=1)] = 1
    epoch_seconds: Amount = 0.0
    train_seconds: Amount = 0.0
    evaluate_seconds: Amount = 0.0
    setup_seconds: Amount = 0.0
    compile_seconds: Amount = 0.0

    def add(self, loss_sum: float, correct: int, seen: int) -> None:
        """Count a step's pictures in."""
        self.loss_sum += loss_sum
        self.correct += correct
        self.seen += seen

    def close_epoch(self, evaluate_seconds: float) -> None:
        """Add the epoch's times to the run's, and begin another."""
        self.train_seconds += self.epoch_seconds
        self.evaluate_seconds += evaluate_seconds
        self.loss_sum, self.correct, self.seen, self.epoch_seconds = 0.0, 0, 0, 0.0


def save_checkpoint(
    run: Path,
    position: Position,
    model: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    average: nn.Module | None,
) -> Path:
    """Write a checkpoint, then remove all but this and the one before it.

    Returns:
        The file.
    """
    folder = run / "checkpoints"
    folder.mkdir(exist_ok=True)
    state = {name: t.detach().cpu().contiguous() for name, t in _tensors(model, optimizers, average).items()}
    content = save(state, metadata={"position": json.dumps(asdict(position))})
    path = folder / f"{position.step:08d}-{_digest(content)}.safetensors"
    write_whole(path, content)
    others = [other for other in _written(folder) if other != path]
    # By their steps: where this step was taken once more, after damage, the digests say nothing about time.
    kept = [other for other in others if _step_of(other) < position.step][1 - KEPT :]
    for other in others:
        if other not in kept:  # older, or later: then it is damaged, or this would not be its past
            other.unlink()
    return path


def _step_of(path: Path) -> int:
    return int(path.stem.partition("-")[0])


def newest_checkpoint(run: Path, warn: Callable[[str], None]) -> bytes | None:
    """The newest whole checkpoint, or None if there is none yet.

    Args:
        run: the run directory.
        warn: called with one line for each damaged file that is passed over.

    Raises:
        UserError: if there are checkpoints and all of them are damaged.
    """
    paths = _written(run / "checkpoints")
    for path in reversed(paths):
        with path.open("rb") as file:
            content = file.read(LARGEST + 1) if path.stat().st_size <= LARGEST else b""
        if _digest(content) == path.stem.partition("-")[2]:
            return content
        warn(f"{path} is damaged; taking the checkpoint before it")
    if paths:
        raise UserError(f"all checkpoints in {run / 'checkpoints'} are damaged; start a new run")
    return None


def restore(
    content: bytes,
    model: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    average: nn.Module | None,
) -> Position:
    """Put a checkpoint into the network and the optimisers.

    Args:
        content: a whole file, as `newest_checkpoint` returns it.
        model: changed in place, as are the next two.
        optimizers: in the order they were saved in.
        average: the averaged network, if the run has one.

    Returns:
        Where the run stands.

    Raises:
        UserError: if it is that of another run, or was not written by plusx.
    """
    try:
        header = from_json(content[8 : 8 + int.from_bytes(content[:8], "little")].decode())
        position = TypeAdapter(Position).validate_json(header["__metadata__"]["position"])
        _put_back(load(content), model, optimizers, average)
    except Exception as error:  # what anyone may have written can be wrong in any way
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"the newest checkpoint does not fit this run ({reason}); start a new run") from error
    return position


def _written(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the newest last; other files there are none of our business."""
    return sorted(path for path in folder.glob("*.safetensors") if NAME.fullmatch(path.stem))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _tensors(
    model: nn.Module, optimizers: list[torch.optim.Optimizer], average: nn.Module | None
) -> dict[str, Tensor]:
    tensors = {f"model.{name}": t for name, t in model.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{name}": t for name, t in average.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, entries in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{index}.{key}": t for key, t in entries.items() if t is not None}
    return tensors


def _put_back(
    tensors: dict[str, Tensor],
    model: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    average: nn.Module | None,
) -> None:
    def under(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    model.load_state_dict(under("model."))
    if average is not None:
        average.load_state_dict(under("average."))
    shapes = [[p.shape for g in optimizer.param_groups for p in g["params"]] for optimizer in optimizers]
    for number, optimizer in enumerate(optimizers):
        entries: dict[int, dict[str, Any]] = {}
        for name, tensor in under(f"optimizer.{number}.").items():
            index, key = name.split(".")
            if tensor.shape not in (shapes[number][int(index)], torch.Size([])):
                raise ValueError(f"optimizer.{number}.{name} is of another shape")
            entries.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})
        for parameter, state in optimizer.state.items():
            for key, tensor in state.items():
                if isinstance(tensor, Tensor) and tensor.shape == parameter.shape:
                    # In the parameter's own order of memory, which the file does not keep.
                    state[key] = torch.empty_like(parameter).copy_(tensor)
