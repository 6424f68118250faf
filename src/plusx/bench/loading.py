"""`plusx bench data`: how fast pictures are read, from folders and shards, beside what training takes."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from plusx.bench.photographs import TALL, WIDE, write_photograph
from plusx.bench.steps import OURS, training_step, ways
from plusx.bench.timing import alternate, spread, timed
from plusx.data import CLASSES, ShardFeed, pack, read_picture, sample
from plusx.data.shards import list_shards
from plusx.device import keep_memory

PICTURES = 512
QUALITY = 90
TRAINING = "training takes"
NETWORKS = {"fast": (128, 64), "resnet18": (32, 224)}
"""Pictures a step and their size."""


def bench_loading(
    rounds: int = 3, pictures: int = PICTURES, say: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Time the reading of JPEG files, made from the sample, and training steps of two networks.

    Over HTTP the shards come from a server in this process and are not in the cache yet.

    Returns:
        `rows`: for each network and way, the size of the pictures and how many a second; `waiting`: for each
        network, the share of an epoch that its training from shards waits for pictures.
    """
    keep_memory()
    threads = os.cpu_count() or 1
    rows, waiting = [], {}
    with TemporaryDirectory() as place:
        folder = Path(place) / "folder"
        paths = _write_pictures(folder, pictures)
        shard_size = sum(path.stat().st_size for path in paths) // 6
        packed = pack(folder, Path(place) / "shards", shard_size=shard_size, test_share=0.01)
        local = packed.shards["train"]
        for network, (count, size) in NETWORKS.items():
            say(f"{network}, {size}×{size} pixels")
            step = training_step(network, count, size, ways()[OURS])
            with _served(Path(place) / "shards") as address:
                remote = local.replace(str(Path(place) / "shards"), address)
                calls: dict[str, Callable[[], float]] = {
                    "folder, 1 thread": partial(_read_folder, paths, size, 1),
                    f"folder, {threads} threads": partial(_read_folder, paths, size, threads),
                    "shards on disk": partial(_read_shards, local, size, Path(place) / "cache"),
                    "shards over HTTP": partial(_read_shards, remote, size, None),
                    TRAINING: lambda step=step, count=count: count / timed(step),  # type: ignore[misc]
                }
                for way, rates in alternate(calls, rounds).items():
                    row = {"network": network, "size": size, "way": way}
                    rows.append(row | {"pictures_per_second": [round(v, 1) for v in spread(rates)]})
            waiting[network] = round(_waiting(local, count, size, step), 4)
    return {
        "pictures": pictures,
        "jpeg": [WIDE, TALL, QUALITY],
        "processors": threads,
        "threads_of_training": torch.get_num_threads(),
        "rows": rows,
        "waiting": waiting,
    }


def _write_pictures(folder: Path, count: int) -> list[Path]:
    """JPEG files as large as photographs, with as much noise."""
    images, labels = sample("train")
    noise = np.random.default_rng(0)
    paths = []
    for number in range(count):
        i = number * len(images) // count
        path = folder / CLASSES[labels[i]] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_photograph(path, images[i], noise.normal(0, 8, (TALL, WIDE, 3)), QUALITY)
        paths.append(path)
    return paths


def _read_folder(paths: list[Path], size: int, threads: int) -> float:
    """Pictures a second."""

    def read() -> None:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(lambda path: read_picture(path, size), paths):
                pass

    return len(paths) / timed(read)


def _read_shards(notation: str, size: int, cache: Path | None) -> float:
    """Pictures a second of an epoch, the shards' contents known from `cache`; None: an empty one."""
    with TemporaryDirectory() as empty, patch.dict(os.environ, PLUSX_CACHE=str(cache or empty)):
        feed: ShardFeed | None = None

        def read() -> None:
            nonlocal feed
            feed = ShardFeed(list_shards(notation), size=size)
            for _ in feed.epoch(seed=0, epoch=0, steps=max(1, feed.pictures // 32)):
                pass

        seconds = timed(read)
        return (feed.pictures if feed else 0) / seconds


def _waiting(notation: str, count: int, size: int, step: Callable[[], None]) -> float:
    """The share of an epoch's time in which a training step has no pictures yet."""
    with TemporaryDirectory() as empty, patch.dict(os.environ, PLUSX_CACHE=empty):
        feed = ShardFeed(list_shards(notation), size=size)
        steps = feed.pictures // count
        minibatches = feed.epoch(seed=0, epoch=0, steps=steps)
        trained = waited = 0.0
        for _ in range(steps):
            waited += timed(lambda: next(minibatches))
            trained += timed(step)
        return waited / (waited + trained)


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    with patch.dict(os.environ, no_proxy="127.0.0.1"):
        yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
