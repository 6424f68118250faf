"""A run from shards: stopped anywhere and gone on with, it ends with the same bits."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from plusx.data import CLASSES, Dataset, load, pack, sample
from plusx.train import Display, Interrupted, Trainer, claim
from plusx.train.recipe import Recipe


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """200 pictures of the sample in five shards, and test pictures."""
    place = tmp_path_factory.mktemp("pictures")
    images, labels = sample("train")
    for number in range(0, len(images), 4):
        folder = place / "folder" / CLASSES[labels[number]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[number]).save(folder / f"{number}.png")
    packed = pack(place / "folder", place / "shards", shard_size=150_000)
    return load(packed.shards["train"], test=packed.shards["test"])


def test_a_run_from_shards_resumes_exactly(
    shards: Dataset, tiny: Callable[..., Recipe], stop_in: Callable[[Trainer, int], None], tmp_path: Path
) -> None:
    recipe = tiny(training__batch_size=40)

    def trainer(name: str) -> Trainer:
        if not (tmp_path / name).exists():
            claim(tmp_path / name, recipe, shards.record)
        return Trainer(recipe, tmp_path / name, shards, Display(recipe, Console(), "quiet"))

    whole = trainer("whole").train()
    assert whole.result["epochs"] == 2
    assert len(whole.probabilities) == len(shards.test_labels) == 40
    first = trainer("parts")
    stop_in(first, 6)
    with pytest.raises(Interrupted):
        first.train()
    trainer("parts").train()
    files = [tmp_path / name / "model.safetensors" for name in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()
