"""Packing: the bytes unchanged, each file once, whole or not at all."""

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image

from plusx.data import load, load_folder, pack, sample
from plusx.errors import UserError

IMAGES, _ = sample("train")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, numbers in (("cat", range(40)), ("dog", range(40, 80))):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in numbers:
            suffix = "jpg" if number % 2 else "png"
            Image.fromarray(IMAGES[number]).save(tmp_path / "pets" / name / f"{number}.{suffix}")
    return tmp_path / "pets"


def bytes_of(folder: Path) -> dict[str, str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path.parent.name for path in folder.rglob("*.??g")}


def samples_of(notation: str) -> dict[str, str]:
    """What the library webdataset finds in shards."""
    found = webdataset.WebDataset(notation, shardshuffle=False)
    classes = (Path(notation).parent / "classes.txt").read_text().split()
    return {
        hashlib.sha256(one["png"] if "png" in one else one["jpg"]).hexdigest(): classes[int(one["cls"])]
        for one in found
    }


def test_every_file_is_in_one_shard_unchanged(folder: Path, tmp_path: Path) -> None:
    before = bytes_of(folder)
    packed = pack(folder, tmp_path / "out", shard_size=50_000)
    assert packed.samples == {"train": 64, "test": 16}
    train, test = samples_of(packed.shards["train"]), samples_of(packed.shards["test"])
    assert train | test == before == bytes_of(folder)
    assert not train.keys() & test.keys()
    assert list(test.values()).count("cat") == 8
    shards = sorted((tmp_path / "out").glob("train-*.tar"))
    assert len(shards) > 2
    assert all(30_000 < shard.stat().st_size <= 50_000 for shard in shards[:-1])
    assert packed.shards["train"] == f"{tmp_path}/out/train-{{000000..{len(shards) - 1:06d}}}.tar"


def test_the_folder_of_the_shards_tells_their_name(folder: Path, tmp_path: Path) -> None:
    packed = pack(folder, tmp_path / "out", shard_size=50_000)
    with pytest.raises(UserError) as error:
        load(str(tmp_path / "out"))
    assert str(error.value).endswith(
        f"out: a folder of shards; name these: --data '{packed.shards['train']}'"
    )


def test_the_packed_shards_train_on_what_the_folder_has(folder: Path, tmp_path: Path) -> None:
    packed = pack(folder, tmp_path / "out", shard_size=50_000)
    data = load(packed.shards["train"], test=packed.shards["test"])
    assert data.stream is not None
    assert data.record["remarks"] == []
    streamed = [batch.pictures.numpy() for batch in data.stream.epoch(seed=0, epoch=0, steps=4)]
    images = np.concatenate([*streamed, data.test_images])
    whole = load_folder(folder)
    expected = np.concatenate([whole.train_images, whole.test_images])
    assert sorted(image.tobytes() for image in images) == sorted(image.tobytes() for image in expected)
    assert data.classes == whole.classes


def test_the_same_folder_gives_the_same_shards(folder: Path, tmp_path: Path) -> None:
    def digests(name: str, seed: int) -> dict[str, str]:
        pack(folder, tmp_path / name, shard_size=50_000, seed=seed)
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (tmp_path / name).iterdir()}

    assert digests("a", 0) == digests("b", 0)
    assert digests("a2", 0) != digests("c", 1)


def test_the_user_s_splits_are_kept(folder: Path, tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        (tmp_path / "split" / split).mkdir(parents=True)
        for name in ("cat", "dog"):
            (tmp_path / "split" / split / name).symlink_to(folder / name)
    with pytest.raises(UserError, match="neither CIFAR-10 nor folders"):
        pack(tmp_path / "split", tmp_path / "out")  # links that lead out are not followed
    folder.rename(tmp_path / "moved")
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
    (tmp_path / "moved").rename(folder / "train" / "x")
    for name in ("cat", "dog"):
        (folder / "train" / "x" / name).rename(folder / "train" / name)
        (folder / "val" / name).mkdir()
        (folder / "train" / name / ("0.png" if name == "cat" else "40.png")).rename(
            folder / "val" / name / "a.png"
        )
    (folder / "train" / "x").rmdir()
    packed = pack(folder, tmp_path / "out")
    assert packed.samples == {"train": 78, "test": 2}


def test_what_is_no_picture_is_named_and_left_out(folder: Path, tmp_path: Path) -> None:
    (folder / "cat" / "notes.txt").write_text("no picture")
    (folder / "cat" / "0.png").rename(folder / "cat" / "0.picture")
    packed = pack(folder, tmp_path / "out")
    assert list(packed.skipped) == [folder / "cat" / "notes.txt"]
    assert sum(packed.samples.values()) == 80


def test_what_training_would_not_read_is_not_packed(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / "cat" / "pipe.png")  # waited for without end, if it were opened
    Image.fromarray(IMAGES[0]).save(folder / "cat" / "0.tga")
    packed = pack(folder, tmp_path / "out")
    assert {path.name: reason[:12] for path, reason in packed.skipped.items()} == {
        "0.tga": "damaged, or ",
        "pipe.png": "a pipe, a so",
    }
    assert sum(packed.samples.values()) == 80


def test_whole_or_not_at_all(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match="there exists already; choose another place"):
        pack(folder, tmp_path / "there")
    (tmp_path / "mine.part").mkdir()
    (tmp_path / "mine.part" / "precious").touch()
    with pytest.raises(UserError, match=r"mine\.part exists"):
        pack(folder, tmp_path / "mine")
    assert (tmp_path / "mine.part" / "precious").exists()
    shutil.rmtree(tmp_path / "mine.part")
    with pytest.raises(UserError, match=r"alone is larger than a shard: --shard-size"):
        pack(folder, tmp_path / "out", shard_size=11_000)
    written = []

    def full(tar: webdataset.TarWriter, obj: dict[str, object]) -> None:
        written.append(obj)
        if len(written) > 10:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(webdataset.TarWriter, "write", full)
    with pytest.raises(OSError, match="No space left"):
        pack(folder, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pets", "there"]
