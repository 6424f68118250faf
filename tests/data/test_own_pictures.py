"""A folder of the user's own pictures: what is found, split, skipped and said."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from plusx.data import load, load_folder, sample
from plusx.data.folder import draw_test
from plusx.errors import UserError
from plusx.train import claim, load_recipe, refuse_changed

IMAGES, LABELS = sample("train")


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def fill(root: Path, name: str, pictures: range, suffix: str = "png") -> None:
    for number in pictures:
        write(root / name / f"{number}.{suffix}", IMAGES[number])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "pets", "猫", range(20))
    fill(tmp_path / "pets", "dog", range(20, 40))
    return tmp_path / "pets"


def test_a_folder_a_class_becomes_a_dataset(folder: Path) -> None:
    data = load(str(folder))
    assert data.classes == ("dog", "猫")
    assert data.name == "pets"
    assert np.bincount(data.train_labels).tolist() == [16, 16]
    assert np.bincount(data.test_labels).tolist() == [4, 4]
    assert data.record["remarks"] == []
    for split, images in (("train", data.train_images), ("test", data.test_images)):
        expected = [IMAGES[int(Path(name).stem)] for name in data.record["split"][split]]
        np.testing.assert_array_equal(images, expected)


def test_the_seed_alone_decides_the_split(folder: Path) -> None:
    first, again, other = (load_folder(folder, seed=seed).record["split"] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_user_s_own_splits_are_kept(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val", "test")):
        fill(tmp_path / split, "cat", range(10 * number, 10 * number + 5))
        fill(tmp_path / split, "dog", range(10 * number + 5, 10 * number + 10))
    data = load_folder(tmp_path)
    assert data.validation_images is not None
    np.testing.assert_array_equal(data.train_images, IMAGES[:10])
    np.testing.assert_array_equal(data.validation_images, IMAGES[10:20])
    np.testing.assert_array_equal(data.test_images, IMAGES[20:30])


def test_a_val_folder_alone_is_the_test_set(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "valid")):
        fill(tmp_path / split, "cat", range(10 * number, 10 * number + 5))
        fill(tmp_path / split, "dog", range(10 * number + 5, 10 * number + 10))
    data = load_folder(tmp_path)
    assert data.validation_images is None
    np.testing.assert_array_equal(data.test_images, IMAGES[10:20])


def test_the_content_changes_with_a_class_and_not_with_the_split(folder: Path, tmp_path: Path) -> None:
    before = load_folder(folder).record
    assert load_folder(folder, test_share=1.0, seed=3).record["content"] == before["content"]
    last, first = max((folder / "dog").iterdir()), min((folder / "猫").iterdir())
    last.rename(first.with_name("!.png"))  # the same pictures in the same order, one in another class
    assert load_folder(folder).record["content"] != before["content"]


def test_a_run_goes_on_with_its_own_split_alone(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "test")):
        for place, name in enumerate(("cat", "dog")[number:]):  # no cat among the test pictures
            first = 20 * number + 10 * place
            fill(tmp_path / "pets" / split, name, range(first, first + 5))
    recipe, record = load_recipe("fast"), load_folder(tmp_path / "pets").record
    claim(tmp_path / "run", recipe, record)
    refuse_changed(tmp_path / "run", load_folder(tmp_path / "pets").record)
    last = max((tmp_path / "pets" / "train" / "dog").iterdir())
    last.rename(tmp_path / "pets" / "test" / "dog" / "!.png")  # from the training to the test pictures
    moved = load_folder(tmp_path / "pets").record
    assert moved["content"] == record["content"]
    with pytest.raises(UserError, match="changed since the run"):
        refuse_changed(tmp_path / "run", moved)


def test_broken_files_are_skipped_and_named(folder: Path) -> None:
    whole = (folder / "dog" / "20.png").read_bytes()
    (folder / "dog" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "dog" / "notes.txt").write_text("no picture")
    (folder / "猫" / "empty.jpg").write_bytes(b"")
    (folder / "猫" / "Thumbs.db").write_bytes(b"clutter is not worth a word")
    (folder / ".git").mkdir()
    data = load_folder(folder)
    assert sorted(data.record["skipped"]) == ["dog/cut.png", "dog/notes.txt", "猫/empty.jpg"]
    (remark,) = data.record["remarks"]
    assert remark.startswith(
        f"3 of 43 files skipped, first {next(iter(data.record['skipped']))}: can't be read"
    )
    assert len(data.train_labels) + len(data.test_labels) == 40
    with pytest.raises(UserError, match=r"cut\.png: can't be read .*2 more.*--strict"):
        load_folder(folder, strict=True)


def test_a_link_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "private.png", IMAGES[99])
    (folder / "dog" / "in.png").symlink_to(folder / "dog" / "20.png")
    (folder / "dog" / "out.png").symlink_to(tmp_path / "private.png")
    (folder / "outside").symlink_to(tmp_path)
    data = load_folder(folder)
    assert data.classes == ("dog", "猫")
    assert data.record["skipped"] == dict.fromkeys(
        ("dog/out.png", "outside"), "a link that leads out of the folder"
    )
    assert len(data.train_labels) + len(data.test_labels) == 41


def test_a_bomb_is_refused_before_it_is_unpacked(folder: Path) -> None:
    Image.new("1", (20_000, 10_001)).save(folder / "dog" / "bomb.png")
    reason = load_folder(folder).record["skipped"]["dog/bomb.png"]
    assert "too big" in reason


def test_copies_stay_on_one_side_and_are_told(folder: Path) -> None:
    for number in range(20, 40):
        write(folder / "dog" / f"copy-{number}.bmp", IMAGES[number])
    write(folder / "猫" / "also-a-dog.png", IMAGES[25])
    data = load_folder(folder)

    def contents(images: np.ndarray) -> set[bytes]:
        return {image.tobytes() for image in images}

    assert not contents(data.train_images) & contents(data.test_images)
    assert data.record["remarks"] == [
        "1 picture is in more than one class",
        "21 pictures are the copy of another",
    ]


def test_a_copy_across_the_user_s_splits_is_told(tmp_path: Path) -> None:
    for split, pictures in (("train", range(6)), ("test", range(4, 10))):
        fill(tmp_path / split, "cat", pictures)
        fill(tmp_path / split, "dog", range(20 + pictures[0], 20 + pictures[-1] + 1))
    remarks = load_folder(tmp_path).record["remarks"]
    assert remarks[0] == "4 pictures are in more than one split: the test accuracy will flatter"


def test_uneven_and_untaught_classes_are_told(tmp_path: Path) -> None:
    fill(tmp_path / "a", "cat", range(100))
    fill(tmp_path / "a", "dog", range(100, 110))
    (tmp_path / "a" / "mouse").mkdir()
    assert load_folder(tmp_path / "a").record["remarks"] == [
        "no picture in mouse: left out",
        "uneven classes: 80 of cat, 8 of dog; look at the accuracy by class",
    ]
    fill(tmp_path / "b" / "train", "cat", range(10))
    fill(tmp_path / "b" / "val", "dog", range(10, 20))
    assert load_folder(tmp_path / "b").record["remarks"] == [
        "no test picture of cat: the test accuracy says nothing about that",
        "no training picture of dog",
    ]


def test_an_only_picture_of_a_class_is_told_to_be_untested(folder: Path) -> None:
    fill(folder, "owl", range(40, 41))
    said = "no test picture of owl: the test accuracy says nothing about that"
    assert said in load_folder(folder).record["remarks"]
    assert load_folder(folder, test_share=1.0).record["remarks"] == []


@pytest.mark.parametrize("sides", [(32, 33), (100, 120), (300, 400)])
def test_the_size_follows_the_pictures(tmp_path: Path, sides: tuple[int, int]) -> None:
    for name in ("cat", "dog"):
        for number in range(4):
            picture = Image.fromarray(IMAGES[number]).resize(sides)
            (tmp_path / name).mkdir(exist_ok=True)
            picture.save(tmp_path / name / f"{number}.jpg")
    side = load_folder(tmp_path, largest=224).train_images.shape[1]
    assert side == {32: 32, 100: 96, 300: 224}[sides[0]]
    assert load_folder(tmp_path, size=40).train_images.shape[1:] == (40, 40, 3)


def test_what_can_t_be_a_dataset_is_one_line(tmp_path: Path) -> None:
    fill(tmp_path / "one", "cat", range(3))
    (tmp_path / "junk" / "cat").mkdir(parents=True)
    (tmp_path / "junk" / "dog").mkdir()
    (tmp_path / "junk" / "cat" / "a.png").write_bytes(b"x")
    (tmp_path / "junk" / "dog" / "b.png").write_bytes(b"y")
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "two", "cat", range(1))
    fill(tmp_path / "two", "dog", range(1, 2))
    for place, message in (
        ("one", r"only the class 'cat'; make a folder for each class"),
        ("junk", r"fewer than two classes have pictures that can be read; cat/a\.png: can't be read"),
        ("empty", "neither CIFAR-10 nor folders with pictures"),
        ("nowhere", "no such folder"),
        ("two", "too few pictures: no class has two different ones"),
    ):
        with pytest.raises(UserError, match=message) as error:
            load(str(tmp_path / place))
        assert "\n" not in str(error.value)


def test_too_many_for_the_memory_is_said_before_reading(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PHYS_PAGES": 100, "SC_PAGE_SIZE": 1000}[name])
    with pytest.raises(UserError, match=r"more than half of this machine's memory.*--set data\.size=16"):
        load_folder(folder, size=32)


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    copies=st.integers(0, 10),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 1000),
)
def test_every_class_is_on_both_sides_and_no_copy_is(
    sizes: list[int], copies: int, share: float, seed: int
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    contents = [str(max(0, i - copies) if i <= copies else i) for i in range(len(labels))]
    chosen = draw_test(labels, contents, share, seed)
    for content in set(contents):
        assert len({bool(c) for c, own in zip(chosen, contents, strict=True) if own == content}) == 1
    if copies == 0:
        for label, size in enumerate(sizes):
            count = int(chosen[labels == label].sum())
            assert abs(count - share * size) <= 1
            assert (0 < count < size) or size == 1
