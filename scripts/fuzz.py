"""Fuzz what reads strangers' files: `python scripts/fuzz.py TARGET [SECONDS]`, after `pip install atheris`.

A target takes the bytes of a file. It may read them, or refuse them in the way that its reader promises;
whatever else comes out of it is a finding, which libFuzzer writes to `build/fuzz/TARGET/`.
tests/test_fuzz.py gives the targets their seeds, and every finding that was mended.
"""

import io
import os
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACE = Path(tempfile.gettempdir()) / f"plusx-fuzz-{os.getpid()}"  # for readers that want a file


def _file(name: str, content: bytes) -> Path:
    PLACE.mkdir(exist_ok=True)
    path = PLACE / name
    path.write_bytes(content)
    return path


def _framed(header: bytes) -> bytes:
    """A safetensors file with this header: by chance its length would seldom be right."""
    return len(header).to_bytes(8, "little") + header + bytes(20)


def picture(content: bytes) -> None:
    """Any picture."""
    from plusx.data import decode_picture
    from plusx.errors import UserError

    with suppress(UserError):
        assert decode_picture(content, 32, "a").shape == (32, 32, 3)


def weights(content: bytes) -> None:
    """A safetensors file with a card."""
    from plusx.errors import UserError
    from plusx.models import load

    for file in (content, _framed(content)):
        with suppress(UserError):
            load(_file("a.safetensors", file))


def card(content: bytes) -> None:
    """The card in it: what is believed can be written and is read the same."""
    from plusx.models import Card

    with suppress(ValueError):
        believed = Card.from_json(content.decode())
        assert Card.from_json(believed.to_json()) == believed


def pth(content: bytes) -> None:
    """A checkpoint as torch.save writes it."""
    from plusx.errors import UserError
    from plusx.models.public import read_pth

    with suppress(UserError):
        read_pth(_file("a.pth", content), largest=2**24)


def recipe(content: bytes) -> None:
    """A recipe: what is believed can be written and is read the same."""
    from plusx.errors import UserError
    from plusx.train import load_recipe
    from plusx.train.recipe import to_toml

    with suppress(UserError):
        believed = load_recipe(str(_file("a.toml", content)))
        assert load_recipe(str(_file("b.toml", to_toml(believed).encode()))) == believed


def checkpoint(content: bytes) -> None:
    """A checkpoint of a run, under the name that says it is whole."""
    from torch import nn

    from plusx.errors import UserError
    from plusx.train.checkpoint import restore

    for file in (content, _framed(content)):
        with suppress(UserError):
            restore(file, nn.Linear(1, 1), [], None)


def result(content: bytes) -> None:
    """A run's `result.json`, and a line of `metrics.jsonl`."""
    from plusx.errors import UserError
    from plusx.report.run_files import EPOCH_KEYS, RESULT_KEYS, read_object

    for needed in (EPOCH_KEYS, RESULT_KEYS):
        with suppress(UserError):
            read_object(content.decode("utf-8", "replace"), "a", needed)


def cifar(content: bytes) -> None:
    """A batch of CIFAR-10's Python version."""
    from plusx.data.unpickle import from_python

    with suppress(ValueError):
        assert isinstance(from_python(content), bytes)


def archive(content: bytes) -> None:
    """An archive of CIFAR-10."""
    from plusx.data.layouts import survey

    for batch in survey(_file("a.tar.gz", content)).values():
        assert batch.fault


def shard(content: bytes) -> None:
    """A shard, and the pictures in it."""
    import numpy as np

    from plusx.data import ShardFeed
    from plusx.data.shards.files import Shard
    from plusx.errors import UserError

    with suppress(UserError):
        feed = ShardFeed([Shard("a.tar", _file("a.tar", content))], classes=10, size=8)
        feed.read(np.arange(feed.pictures))


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (picture, weights, card, pth, recipe, checkpoint, result, cifar, archive, shard)
}


def seeds(name: str) -> Iterator[bytes]:
    """Whole files to begin with."""
    yield from globals()[f"_{name}_seeds"]()


def _picture_seeds() -> Iterator[bytes]:
    from PIL import Image

    from plusx.data import sample
    from plusx.data.picture import FORMATS

    own = Image.fromarray(sample("train")[0][0])
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in FORMATS:
        for mode in ("RGB", "L", "RGBA", "P", "1", "I;16"):
            file = io.BytesIO()
            with suppress(OSError, ValueError):
                own.convert("L" if mode == "I;16" else mode).convert(mode).save(file, kind, exif=exif)
                yield file.getvalue()


def _safetensors(metadata: dict[str, str]) -> bytes:
    import torch
    from safetensors.torch import save

    return save({"a.weight": torch.zeros(2, 1), "b": torch.zeros(3)}, metadata)


def _weights_seeds() -> Iterator[bytes]:
    for text in _card_seeds():
        yield _safetensors({"plusx": text.decode()})
    yield _safetensors({"format": "pt"})
    yield _safetensors({"format": "pt"})[8:-20]


def _card_seeds() -> Iterator[bytes]:
    from plusx.models import Card

    yield Card("fast", True, ("cat", "狗"), (0.5,) * 3, (0.25,) * 3, 32, 0.3).to_json().encode()


def _pth_seeds() -> Iterator[bytes]:
    import torch

    state = {"a.weight": torch.zeros(2, 1), "b": torch.zeros(3, dtype=torch.int64)}
    for zipped in (True, False):
        file = io.BytesIO()
        torch.save(state, file, _use_new_zipfile_serialization=zipped)
        yield file.getvalue()


def _recipe_seeds() -> Iterator[bytes]:
    for path in sorted((ROOT / "src/plusx/train/recipes").glob("*.toml")):
        yield path.read_bytes()


def _checkpoint_seeds() -> Iterator[bytes]:
    import torch
    from safetensors.torch import save

    position = {"position": '{"step": 8, "loss_sum": 1.5, "correct": 3, "seen": 8, "processes": 1}'}
    whole = save({"model.weight": torch.zeros(1, 1), "model.bias": torch.zeros(1)}, position)
    yield from (whole, whole[8:-8])


def _result_seeds() -> Iterator[bytes]:
    folder = ROOT / "docs/results/fast/seed0"
    yield (folder / "result.json").read_bytes()
    yield (folder / "metrics.jsonl").read_bytes().splitlines()[0]


def _cifar_seeds() -> Iterator[bytes]:
    import pickle

    import numpy as np

    fields = {"labels": [7], "data": np.zeros((1, 3072), np.uint8)}
    for protocol in (0, 2, 4):
        yield pickle.dumps(fields, protocol)


def _tar(files: dict[str, bytes], mode: str, kind: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=kind) as packed:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _archive_seeds() -> Iterator[bytes]:
    files = {"cifar-10-batches-bin/test_batch.bin": b"x", "狗" * 60: b"y"}
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            yield _tar(files, mode, kind)


def _shard_seeds() -> Iterator[bytes]:
    smallest = min(_picture_seeds(), key=len)
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        yield _tar({"a.png": smallest, "a.cls": b"3", "狗" * 60 + ".png": smallest}, "w", kind)


def main() -> None:
    """Let libFuzzer call the target for so many seconds."""
    import atheris

    name, seconds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 300
    target, folder = TARGETS[name], ROOT / "build" / "fuzz" / name
    folder.mkdir(parents=True, exist_ok=True)
    rooms = ("data", "models", "train", "report", "text", "pickles")
    readers = ("PIL", "tarfile", "tomllib", "pickletools", "zipfile", *(f"plusx.{room}" for room in rooms))
    with atheris.instrument_imports(include=[*readers]):
        for number, content in enumerate(seeds(name)):
            (folder / f"seed-{number}").write_bytes(content)
            target(content)
    options = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=4096", "-max_len=20000"]
    options += ["-print_final_stats=1", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *options, str(folder)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
