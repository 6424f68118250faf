"""What holds for the real CIFAR-10; skipped unless it is in the cache already."""

import numpy as np
import pytest

from plusx.data import Dataset, channel_statistics, load, sample, verify
from plusx.data.cache import cache_folder
from plusx.data.layouts import FOLDER

pytestmark = pytest.mark.skipif(
    not (cache_folder() / FOLDER / "test_batch.bin").exists(), reason="CIFAR-10 is not in the cache"
)


@pytest.fixture(scope="module")
def real() -> Dataset:
    assert not any(batch.fault for batch in verify().values())
    return load("cifar10")


def test_it_is_all_there(real):
    assert real.train_images.shape == (50_000, 32, 32, 3)
    assert real.test_images.shape == (10_000, 32, 32, 3)
    assert np.bincount(real.train_labels).tolist() == [5000] * 10
    assert np.bincount(real.test_labels).tolist() == [1000] * 10


def test_the_statistics_are_the_published_ones(real):
    mean, std = channel_statistics(real.train_images)
    np.testing.assert_allclose(mean, [0.49139968, 0.48215841, 0.44653091], rtol=0, atol=5e-9)
    np.testing.assert_allclose(std, [0.24703223, 0.24348513, 0.26158784], rtol=0, atol=5e-9)


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_sample_picture_is_one_of_them(real, split):
    images, labels = sample(split)
    all_images, all_labels = (
        (real.train_images, real.train_labels) if split == "train" else (real.test_images, real.test_labels)
    )
    known = {(image.tobytes(), label) for image, label in zip(all_images, all_labels.tolist(), strict=True)}
    assert all(
        (image.tobytes(), label) in known for image, label in zip(images, labels.tolist(), strict=True)
    )


def test_a_validation_split_has_all_classes_alike(real):
    held = real.hold_out(5000, seed=3)
    assert np.bincount(held.validation_labels).tolist() == [500] * 10
    assert len(held.train_images) == 45_000
