"""Checkpoints: everything that the rest of a run depends on, in one file that proves itself whole.

A run is a pure function of its recipe, its state and its position: the order of the pictures, their
augmentation and the learning rate are all drawn anew from (seed, epoch, step). So the state is: the network,
the momentum buffers, the averaged network if there is one, the position, and the sums of the epoch begun.

The file is `checkpoints/<step>-<first 16 digits of the content's SHA-256>.safetensors`, so that a damaged one
is told from a whole one by its name alone, and a checkpoint is one file, renamed into place in one step.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from plusx.errors import UserError
from plusx.files import write_whole

KEPT = 2


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

    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    processes: int = 1
    epoch_seconds: float = 0.0
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    setup_seconds: float = 0.0
    compile_seconds: float = 0.0


def save_checkpoint(
    run: Path,
    position: Position,
    model: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    average: nn.Module | None,
) -> Path:
    """Write a checkpoint, then remove all but the last two.

    Returns:
        The file.
    """
    folder = run / "checkpoints"
    folder.mkdir(exist_ok=True)
    state = {name: t.detach().cpu().contiguous() for name, t in _tensors(model, optimizers, average).items()}
    content = save(state, metadata={"position": json.dumps(asdict(position))})
    path = folder / f"{position.step:08d}-{_digest(content)}.safetensors"
    write_whole(path, content)
    for old in sorted(folder.glob("*.safetensors"))[:-KEPT]:
        old.unlink()
    return path


def newest_checkpoint(run: Path, warn: Callable[[str], None]) -> bytes | None:
    """The newest whole checkpoint, or None if there is none yet.

    Args:
        run: the run directory.
        warn: called with one line for each damaged file that is passed over.

    Raises:
        UserError: if there are checkpoints and all of them are damaged.
    """
    paths = sorted((run / "checkpoints").glob("*.safetensors"), reverse=True)
    for path in paths:
        content = path.read_bytes()
        if _digest(content) != path.stem.partition("-")[2]:
            warn(f"{path} is damaged; taking the checkpoint before it")
            continue
        return content
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
    """
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    _put_back(load(content), model, optimizers, average)
    return Position(**json.loads(header["__metadata__"]["position"]))


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
    for number, optimizer in enumerate(optimizers):
        entries: dict[int, dict[str, Any]] = {}
        for name, tensor in under(f"optimizer.{number}.").items():
            index, key = name.split(".")
            entries.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})
