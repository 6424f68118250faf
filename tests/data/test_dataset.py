import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plusx.data import CLASSES, Dataset, load
from plusx.errors import UserError


def numbered(labels: list[int]) -> Dataset:
    """A dataset whose every train picture is its own number."""
    count = len(labels)
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    return Dataset("numbers", CLASSES, images, np.array(labels), images[:0], np.zeros(0, np.int64))


@given(st.lists(st.integers(0, 9), min_size=2, max_size=200), st.data(), st.integers(0, 2**32 - 1))
def test_hold_out_is_a_stratified_partition(labels, data, seed):
    whole = numbered(labels)
    count = data.draw(st.integers(1, len(labels) - 1))
    held = whole.hold_out(count, seed)
    assert len(held.validation_labels) == len(held.validation_images) == count
    for images, own in (
        (held.train_images, held.train_labels),
        (held.validation_images, held.validation_labels),
    ):
        numbers = images.ravel()
        np.testing.assert_array_equal(own, np.array(labels)[numbers])  # each keeps its label
        assert np.all(np.diff(numbers.astype(int)) > 0)  # and its place
    together = np.concatenate([held.train_images.ravel(), held.validation_images.ravel()])
    assert sorted(together.tolist()) == list(range(len(labels)))
    share = np.bincount(labels, minlength=10) * count / len(labels)
    assert np.all(np.abs(np.bincount(held.validation_labels, minlength=10) - share) < 1)


def test_hold_out_depends_on_the_seed_alone():
    whole = numbered(list(range(10)) * 20)
    first, again, other = (whole.hold_out(50, seed).validation_images.ravel() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert set(first.tolist()) != set(other.tolist())


@pytest.mark.parametrize("count", [-1, 0, 800, 5000])
def test_hold_out_of_too_many_is_one_line(count):
    with pytest.raises(UserError, match=f"can't hold out {count} of 800"):
        load("sample").hold_out(count, seed=0)


def test_validation_pictures_of_the_user_s_own_are_never_dropped():
    whole = numbered(list(range(10)) * 2)
    own = whole.hold_out(5, seed=0)
    with pytest.raises(UserError, match=r"has validation pictures of its own, in val/; leave") as error:
        own.hold_out(5, seed=0)
    assert "\n" not in str(error.value)


def test_load_the_sample():
    dataset = load("sample")
    assert (dataset.name, dataset.classes) == ("sample", CLASSES)
    assert dataset.train_images.shape == (800, 32, 32, 3)
    assert dataset.test_labels.shape == (200,)
    assert dataset.validation_images is None


@pytest.mark.parametrize("layout", ["bin", "py"])
@pytest.mark.parametrize("archive", [False, True])
def test_load_a_folder(fake, tmp_path, layout, archive):
    place = fake.archive(tmp_path / "a.tar.gz", layout) if archive else fake.folder(tmp_path / "data", layout)
    dataset = load(str(place), table=fake.table)
    np.testing.assert_array_equal(dataset.train_images[3:6], fake.images["data_batch_2"])
    np.testing.assert_array_equal(dataset.train_labels[3:6], fake.labels["data_batch_2"])
    np.testing.assert_array_equal(dataset.test_images, fake.images["test_batch"])
    np.testing.assert_array_equal(dataset.test_labels, fake.labels["test_batch"])


def test_load_cifar10_from_a_root(fake, tmp_path):
    fake.archive(tmp_path / "cifar-10-binary.tar.gz", "bin")
    assert load("cifar10", tmp_path, table=fake.table).train_images.shape == (15, 32, 32, 3)


def test_load_from_the_wrong_place_is_one_line(fake, tmp_path):
    (tmp_path / "cat.png").write_bytes(b"")
    damaged = fake.folder(tmp_path / "damaged", "bin")
    (damaged / "test_batch.bin").write_bytes(b"x")
    partial = fake.folder(tmp_path / "partial", "bin")
    (partial / "data_batch_4.bin").unlink()
    (tmp_path / "dog.png").write_bytes(b"\x89PNG")
    (tmp_path / "half.tar.gz").write_bytes(b"\x1f\x8b")
    (tmp_path / "empty").mkdir()
    for place, message in (
        (tmp_path / "nowhere", "no such folder"),
        (tmp_path / "empty", "neither CIFAR-10 nor folders with pictures"),
        (tmp_path / "cat.png", "is a file, not a folder of pictures; --data takes"),
        (tmp_path / "dog.png", "is a file, not a folder of pictures; --data takes"),
        (tmp_path / "half.tar.gz", "the archive is broken"),
        (damaged, r"test_batch\.bin: its SHA-256"),
        (partial, "data_batch_4 is missing"),
    ):
        with pytest.raises(UserError, match=message) as error:
            load(str(place), table=fake.table)
        assert str(place) in str(error.value)
        assert "\n" not in str(error.value)
    assert len(list(partial.iterdir())) == 5  # a folder given as the source is only read


def test_an_empty_source_is_not_the_current_folder():
    with pytest.raises(UserError, match="--data is empty, perhaps from a variable that isn't set"):
        load("")
