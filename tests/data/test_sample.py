from importlib import resources

import numpy as np
import pytest

from plusx.data import sample


@pytest.mark.parametrize(("split", "each"), [("train", 80), ("test", 20)])
def test_so_many_of_each_class(split, each):
    images, labels = sample(split)
    assert images.shape == (10 * each, 32, 32, 3)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert np.bincount(labels).tolist() == [each] * 10


def test_no_picture_twice():
    seen = [image.tobytes() for split in ("train", "test") for image in sample(split)[0]]
    assert len(set(seen)) == 1000


def test_a_tile_is_a_picture():
    # Neighbouring rows of a real picture are alike; across the border between two tiles they aren't.
    images = sample("train")[0].astype(int)
    inside = np.abs(np.diff(images, axis=1)).mean()
    between = np.abs(images[1:, 0] - images[:-1, -1]).mean()
    assert inside * 3 < between


def test_it_is_small():
    folder = resources.files("plusx.data") / "sample"
    assert sum(len((folder / f"{split}.png").read_bytes()) for split in ("train", "test")) < 2_500_000


def test_there_is_no_other_split():
    with pytest.raises(ValueError, match="validation"):
        sample("validation")
