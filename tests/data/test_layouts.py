import numpy as np
import pytest

from plusx.data.layouts import survey
from plusx.errors import UserError

LAYOUTS = {
    "binary, loose": lambda fake, root: fake.folder(root, "bin"),
    "binary, in its folder": lambda fake, root: fake.folder(root / "cifar-10-batches-bin", "bin"),
    "binary, in its archive": lambda fake, root: fake.archive(root / "cifar-10-binary.tar.gz", "bin"),
    "Python, loose": lambda fake, root: fake.folder(root, "py"),
    "Python, in torchvision's folder": lambda fake, root: fake.folder(root / "cifar-10-batches-py", "py"),
    "Python, in its archive": lambda fake, root: fake.archive(root / "cifar-10-python.tar.gz", "py"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_batches(fake, tmp_path, layout):
    place = LAYOUTS[layout](fake, tmp_path / "data")
    for root in (tmp_path / "data", place):  # the folder above, or the thing itself
        found = survey(root, fake.table)
        assert {name: batch.content for name, batch in found.items()} == fake.contents
        assert not any(batch.fault for batch in found.values())
        assert all(str(place) in batch.where for batch in found.values())


@pytest.mark.parametrize("layout", ["bin", "py"])
def test_a_damaged_file_is_named(fake, tmp_path, layout):
    folder = fake.folder(tmp_path / "data", layout)
    file = folder / ("data_batch_3.bin" if layout == "bin" else "data_batch_3")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    found = survey(folder, fake.table)
    assert [batch.where for batch in found.values() if batch.fault] == [str(file)]
    assert "SHA-256" in found["data_batch_3"].fault


def test_a_sound_copy_wins_over_a_damaged_one(fake, tmp_path):
    fake.archive(tmp_path / "cifar-10-python.tar.gz", "py")
    (tmp_path / "test_batch.bin").write_bytes(b"half")
    found = survey(tmp_path, fake.table)
    assert found["test_batch"].content == fake.contents["test_batch"]
    assert not found["test_batch"].fault


def test_a_truncated_archive_gives_what_comes_before_the_break(fake, tmp_path):
    path = fake.archive(tmp_path / "cifar-10-binary.tar.gz", "bin")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    found = survey(tmp_path, fake.table)
    assert not found["data_batch_1"].fault
    assert found["test_batch"].fault.startswith("the archive is broken")
    assert found["test_batch"].where == str(path)


@pytest.mark.parametrize("seed", range(5))
def test_no_damage_to_an_archive_goes_unnoticed(fake, tmp_path, seed):
    path = fake.archive(tmp_path / "cifar-10-binary.tar.gz", "bin")
    content = bytearray(path.read_bytes())
    place = np.random.default_rng(seed).integers(
        20, len(content) - 8
    )  # behind the header, before the checksum
    content[place] ^= 0xFF
    path.write_bytes(content)
    found = survey(tmp_path, fake.table)
    sound = {name for name, batch in found.items() if not batch.fault}
    assert all(found[name].content == fake.contents[name] for name in sound)
    assert sound != set(fake.table)


def test_only_what_is_there_is_found(fake, tmp_path):
    folder = fake.folder(tmp_path / "data", "bin")
    (folder / "data_batch_2.bin").unlink()
    assert set(survey(folder, fake.table)) == set(fake.table) - {"data_batch_2"}
    assert survey(tmp_path / "nowhere", fake.table) == {}


def test_an_unreadable_place_is_the_user_s_error(fake, tmp_path, monkeypatch):
    folder = fake.folder(tmp_path / "data", "bin")

    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(UserError, match=r"data_batch_1\.bin: Permission denied"):
        survey(folder, fake.table)
