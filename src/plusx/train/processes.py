"""The processes that train one run together: one, or as many as torchrun started.

Every process holds the whole network and takes its share of every step's pictures; the gradients are averaged
(torch's DistributedDataParallel). The first process leads: it alone writes files and speaks.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn
from uuid import uuid4

import torch
from torch import Tensor, distributed
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from plusx.errors import UserError

PATIENCE = timedelta(minutes=10)  # until a process that answers no more is given up


@dataclass(frozen=True)
class Processes:
    """This process among all that train the run.

    Attributes:
        number: which one this is, from 0; 0 leads.
        count: how many there are, on all machines.
        local: which one it is on its machine: the GPU that it takes.
        restarted: torchrun started them again after one had died.

    >>> alone = Processes()
    >>> alone.leads, alone.total([1.5, 2.0])
    (True, [1.5, 2.0])
    """

    number: int = 0
    count: int = 1
    local: int = 0
    restarted: bool = False

    @property
    def leads(self) -> bool:
        """Whether this process writes the files and speaks."""
        return self.number == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    def place(self, device: torch.device) -> torch.device:
        """The device for this process where the run's is `device`: of several, each has a GPU of its own.

        Raises:
            UserError: if this machine has fewer GPUs than processes.
        """
        if device.type != "cuda":
            return device
        if not self.several:
            if device.index is not None:  # "cuda" is the current one already
                torch.cuda.set_device(device)  # streams and graphs are made on the current one
            return device
        if self.local >= torch.cuda.device_count():
            raise UserError(
                f"{self.local + 1} processes or more, but {torch.cuda.device_count()} GPUs on this machine; "
                "start torchrun with --nproc-per-node=gpu"
            )
        torch.cuda.set_device(self.local)
        return torch.device("cuda", self.local)

    def total(self, values: Sequence[float], device: torch.device | None = None) -> list[float]:
        """Each value summed over all processes, in float64."""
        if not self.several:
            return list(values)
        table = torch.tensor(values, dtype=torch.float64, device=device)
        distributed.all_reduce(table)
        return [float(value) for value in table.tolist()]

    def gather(self, rows: Tensor) -> Tensor:
        """The rows (n, …) of all processes, one after another: (Σ n, …), on the CPU."""
        if not self.several:
            return rows.cpu()
        parts: list[Tensor] = [rows] * self.count
        distributed.all_gather_object(parts, rows.cpu())
        return torch.cat(parts)

    def align(self, module: torch.nn.Module) -> None:
        """Give every process the leader's buffers: running statistics are each one's own otherwise."""
        if self.several:
            for buffer in module.buffers():
                distributed.broadcast(buffer, src=0)

    def from_leader(self, content: bytes | None) -> bytes | None:
        """What the leader has, in every process."""
        if not self.several:
            return content
        carrier = [content]
        distributed.broadcast_object_list(carrier, src=0)
        return carrier[0]


def started() -> Processes:
    """This process among those that torchrun started, by what stands in the environment; alone without."""
    return Processes(
        number=int(os.environ.get("RANK", 0)),
        count=int(os.environ.get("WORLD_SIZE", 1)),
        local=int(os.environ.get("LOCAL_RANK", 0)),
        restarted=int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0,
    )


@contextmanager
def joined(processes: Processes) -> Iterator[None]:
    """Join the processes, if there are several, for as long as the context lasts.

    Raises:
        UserError: if the others don't come, or one is lost on the way.
    """
    if not processes.several:
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store, number, count = next(rendezvous("env://", timeout=PATIENCE))
        store = _of_this_attempt(store, number, count)
        distributed.init_process_group(backend, store=store, rank=number, world_size=count, timeout=PATIENCE)
        yield
        # Where one is gone torchrun ends the others: nobody goes while another writes, or was interrupted.
        with suppress(RuntimeError):
            distributed.barrier()
    except RuntimeError as error:  # a neighbour's connection broke, or nothing came for PATIENCE
        if not _is_loss(error):
            raise
        raise UserError(
            f"process {processes.number} lost another one of the {processes.count} that train together; "
            "go on from the last checkpoint with --resume"
        ) from error
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def leave() -> NoReturn:
    """End a process whose work is done and written, at once.

    While Python and the libraries tidy up, a process that was joined with others sometimes aborts, on a busy
    machine ("terminate called without an active exception", torch 2.13 with gloo). torchrun would take that
    for a loss, and start all of them again.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _of_this_attempt(store: Store, number: int, count: int) -> Store:
    """The part of torchrun's store that no earlier attempt has written to.

    The store outlives a restart, and the addresses of processes that are dead by now still stand in it. So
    the leader draws a name for this attempt and tells each of the others, who ask for it with a word that
    nobody has used before; an old word may be answered too, but only the living confirm.
    """
    own = uuid4().hex
    if number > 0:
        store.set(f"word of {number}", own)
        name = store.get(f"name for {own}").decode()
        store.add(f"{name} is known to", 1)
        return PrefixStore(name, store)
    patient_until = time.monotonic() + PATIENCE.total_seconds()
    while store.add(f"{own} is known to", 0) < count - 1:
        for word in (f"word of {other}" for other in range(1, count)):
            if store.check([word]):
                store.set(f"name for {store.get(word).decode()}", own)
        if time.monotonic() > patient_until:
            raise RuntimeError("timed out")
        time.sleep(0.02)
    return PrefixStore(own, store)


def _is_loss(error: RuntimeError) -> bool:
    """Whether the error tells of a lost neighbour; gloo has no class of its own for it."""
    signs = ("gloo", "connection", "timed out", "timeout", "nccl", "socket", "store")
    text = str(error).lower()
    return isinstance(error, distributed.DistError) or any(sign in text for sign in signs)
