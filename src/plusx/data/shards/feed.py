"""`ShardFeed`: the pictures of an epoch from shards, read and decoded ahead of the training."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from plusx.console import counting, say
from plusx.data.decoding import fault_of
from plusx.data.feed import Minibatch
from plusx.data.picture import decode_picture
from plusx.data.records import Images, Labels
from plusx.data.shards.files import Shard
from plusx.data.shards.index import Index, index_of, name_at
from plusx.errors import UserError

NEIGHBOURS = 8
"""A picture moves by up to as many pictures as so many shards have."""
AHEAD = 4
"""So many minibatches are read while one is trained on, and so many shards fetched before their turn."""
SAMPLED_SHARDS, SAMPLED_PICTURES = 8, 2000
"""What a sample is from at most: pictures have to be fetched and decoded for it before the first step."""
FAULTS_SHOWN = 10


class ShardFeed:
    """Pictures in shards; see `plusx.data.feed.Feed`.

    A sample that can't be used (no label, a label out of range, a picture that can't be decoded) has its
    place in an epoch as well; its minibatch is so much smaller.

    Args:
        shards: where they are.
        counts: how many samples each has; None to look into all of them.
        classes: how many classes there are; 0 if nobody knows, then no label is out of range.
        size: side at which the pictures are read, in pixels.
        strict: end at the first sample that can't be used.
        console: where skipped samples are told; nowhere unless given.

    Attributes:
        pictures: how many samples all shards have.
        size: as given.
        faults: the samples that turned out to be unusable, by name, with the reason.

    Raises:
        UserError: if a shard can't be had or read.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        *,
        counts: Sequence[int] | None = None,
        classes: int = 0,
        size: int = 32,
        strict: bool = False,
        console: Console | None = None,
    ) -> None:
        """Look into the shards where need be."""
        self.shards, self.size, self.strict = list(shards), size, strict
        self.classes = classes
        self.faults: dict[str, str] = {}
        self._console = console or Console(quiet=True)
        self._indexes: dict[int, Index] = {}
        self._locks = [Lock() for _ in self.shards]  # or every reader would fetch the shard it waits for
        self._declared = None if counts is None else list(counts)
        self.counts = list(counts) if counts is not None else [len(self.index(i)) for i in self._told()]
        self._ends = np.cumsum(self.counts)
        self.pictures = int(sum(self.counts))

    def index(self, number: int) -> Index:
        """What is in a shard, which is fetched for it if need be.

        Raises:
            UserError: if that can't be had or read, or has other samples than declared.
        """
        with self._locks[number]:
            if number not in self._indexes:
                shard = self.shards[number]
                index = index_of(shard)
                if self._declared is not None and self._declared[number] != len(index):
                    raise UserError(
                        f"{shard.where} has {len(index):,} samples, but index.json beside it says "
                        f"{self._declared[number]:,}; bring or write both anew"
                    )
                self._indexes[number] = index
            return self._indexes[number]

    def epoch(
        self, *, seed: int, epoch: int, steps: int, first: int = 0, process: int = 0, processes: int = 1
    ) -> Iterator[Minibatch]:
        """See `Feed`. Raises `UserError` where a shard can't be had, or no picture of a minibatch be read."""
        order = mixed(self.counts, seed, epoch)
        parts = [np.array_split(part, processes)[process] for part in np.array_split(order, steps)[first:]]
        told = len(self.faults)
        turns = self._turns(parts)
        readers = ThreadPoolExecutor(max(2, (os.cpu_count() or 1) // processes))
        fetchers = ThreadPoolExecutor(2)
        pending: deque[tuple[NDArray[np.int64], Images, list[Future[int]]]] = deque()
        try:
            for part, turn in zip(parts, turns, strict=True):
                for shard in turn:
                    fetchers.submit(shard.fetch)
                images = np.empty((len(part), self.size, self.size, 3), np.uint8)
                reading = [readers.submit(self._read_into, *pair) for pair in zip(images, part, strict=True)]
                pending.append((part, images, reading))
                if len(pending) > AHEAD:
                    yield self._minibatch(*pending.popleft())
            while pending:
                yield self._minibatch(*pending.popleft())
        finally:
            readers.shutdown(wait=False, cancel_futures=True)
            fetchers.shutdown(wait=False, cancel_futures=True)
        if len(self.faults) > max(told, FAULTS_SHOWN):
            say(self._console, f"note: {len(self.faults):,} of {self.pictures:,} pictures skipped so far")

    def sample(self, count: int) -> torch.Tensor:
        """See `Feed`; at most 2000 pictures from eight shards, evenly."""
        chosen = np.unique(np.linspace(0, len(self.shards) - 1, SAMPLED_SHARDS).round().astype(int))
        places = np.concatenate([np.arange(self.counts[i]) + self._ends[i] - self.counts[i] for i in chosen])
        count = min(count, len(places), SAMPLED_PICTURES)
        images, _ = self.read(places[np.arange(count) * len(places) // max(count, 1)])
        return torch.from_numpy(images)

    def read(self, places: NDArray[np.int64]) -> tuple[Images, Labels]:
        """The pictures in these places, in this order, without those that can't be used.

        Args:
            places: int64 (N,).

        Returns:
            uint8 (n, size, size, 3) and int64 (n,), n ≤ N.
        """
        images = np.empty((len(places), self.size, self.size, 3), np.uint8)
        labels = np.empty(len(places), np.int64)
        with (
            ThreadPoolExecutor(os.cpu_count()) as pool,
            counting(self._console, f"reading pictures as {self.size}×{self.size}", len(places)) as show,
        ):
            for done, label in enumerate(pool.map(self._read_into, images, places)):
                labels[done] = label
                show(done + 1)
        return images[labels >= 0], labels[labels >= 0]

    def _read_into(self, image: Images, place: int) -> int:
        """Decode one picture into its array; returns its class, or −1 if it can't be used."""
        number = int(np.searchsorted(self._ends, place, side="right"))
        index, shard = self.index(number), self.shards[number]
        row = int(place - self._ends[number]) + self.counts[number]
        label = int(index.labels[row])
        if row in index.faults:
            return self._skip(shard, *index.faults[row])
        offset = int(index.offsets[row])
        if self.classes and label >= self.classes:
            return self._skip(shard, offset, f"the label {label} is not in 0 … {self.classes - 1}")
        with shard.open() as file:
            file.seek(offset)
            content = file.read(int(index.sizes[row]))
        try:
            image[:] = decode_picture(content, self.size, shard.name)
        except UserError as error:
            return self._skip(shard, offset, fault_of(error, shard.name))
        return label

    def _skip(self, shard: Shard, member: str | int, reason: str) -> int:
        """Note that a sample, by its name or where it lies, can't be used."""
        name = f"{shard.name}/{member if isinstance(member, str) else name_at(shard, member)}"
        if self.strict:
            raise UserError(f"{name}: {reason}; mend or remove it, or leave --strict out")
        if name not in self.faults:
            self.faults[name] = reason
            if len(self.faults) <= FAULTS_SHOWN:
                say(self._console, f"note: skipped {name}: {reason}")
        return -1

    def _minibatch(self, places: NDArray[np.int64], images: Images, futures: list[Future[int]]) -> Minibatch:
        labels = np.array([future.result() for future in futures], np.int64)
        usable = labels >= 0
        if not usable.any() and len(labels):
            *_, (name, reason) = self.faults.items()
            raise UserError(
                f"none of the {len(labels)} pictures of a minibatch can be used; {name}: {reason}"
            )
        if not usable.all():
            places, images, labels = places[usable], images[usable], labels[usable]
        return Minibatch(*(torch.from_numpy(part) for part in (places, images, labels)))

    def _turns(self, parts: Sequence[NDArray[np.int64]]) -> Iterator[list[Shard]]:
        """For each part, the shards whose fetching begins with it: those that come some shards later."""
        needed = [np.unique(np.searchsorted(self._ends, part, side="right")) for part in parts]
        queue = deque(dict.fromkeys(int(number) for numbers in needed for number in numbers))
        seen: set[int] = set()
        asked = 0
        for numbers in needed:
            seen.update(numbers.tolist())
            turn = []
            while queue and asked < len(seen) + AHEAD:
                turn.append(self.shards[queue.popleft()])
                asked += 1
            yield turn

    def _told(self) -> Iterator[int]:
        """The shards' numbers, while a bar shows how far it is."""
        with counting(self._console, "looking into the shards", len(self.shards)) as show:
            for number in range(len(self.shards)):
                yield number
                show(number + 1)


def mixed(counts: Sequence[int], seed: int, epoch: int) -> NDArray[np.int64]:
    """The places of an epoch in their order: the shards shuffled, then the pictures among neighbours.

    In a row of the shuffled shards each picture is put off by a random distance, up to as many pictures as
    `NEIGHBOURS` shards have. So at any time few shards are read from, which a disk likes and a network needs.
    Where there are no more shards than that, all their pictures are shuffled together.

    Args:
        counts: how many pictures each shard has; the first has places 0 … counts[0] − 1, and so on.
        seed: with `epoch` it decides.
        epoch: counted from 0.

    Returns:
        int64 (N,), each place once.

    >>> sorted(mixed([2, 3], seed=0, epoch=0).tolist())
    [0, 1, 2, 3, 4]
    """
    generator = np.random.default_rng((seed, epoch))
    total = sum(counts)
    if len(counts) <= NEIGHBOURS:
        return generator.permutation(total)
    ends = np.cumsum(counts)
    row = np.concatenate(
        [np.arange(ends[i] - counts[i], ends[i]) for i in generator.permutation(len(counts))]
    )
    put_off = generator.random(total) * (NEIGHBOURS * total / len(counts))
    return row[np.argsort(np.arange(total) + put_off, kind="stable")]
