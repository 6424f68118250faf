import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from plusx.data import BATCHES, cifar10, fetch, info, verify
from plusx.data.layouts import FOLDER, Batch, verified
from plusx.data.sources import SourceError
from plusx.errors import UserError


@pytest.fixture
def source(fake):
    """A source that brings what it is asked for, and remembers what that was."""

    def bring(work, table, console):
        bring.asked.append(list(table))
        for name, expected in table.items():
            yield verified(name, "source", fake.contents[name], expected)

    bring.asked = []
    return bring


def away(work, table, console):
    raise SourceError("no network [/closed]")
    yield


def test_fetched_once_and_kept_in_the_official_layout(fake, source, tmp_path, console):
    for _ in range(2):
        found = fetch(tmp_path / "new", console=console, table=fake.table, sources={"one": source})
        assert {name: batch.content for name, batch in found.items()} == fake.contents
    assert source.asked == [list(fake.table)]
    assert {path.name: path.read_bytes() for path in (tmp_path / "new" / FOLDER).iterdir()} == fake.files(
        "bin"
    )
    assert not (tmp_path / "new" / "incoming").exists()


def test_the_next_source_serves_when_one_is_away(fake, source, tmp_path, console):
    fetch(tmp_path, console=console, table=fake.table, sources={"the first": away, "the second": source})
    said = console.file.getvalue()
    assert "Not from the first: no network [/closed]." in said
    assert "Served by the second" in said


def test_a_source_that_breaks_off_is_completed_by_the_next(fake, source, tmp_path, console):
    def half(work, table, console):
        name = next(iter(table))
        yield verified(name, "half", fake.contents[name], table[name])

    fetch(tmp_path, console=console, table=fake.table, sources={"half": half, "one": source})
    assert source.asked == [list(fake.table)[1:]]
    assert "Not from half: it lacks data_batch_2" in console.file.getvalue()


def test_what_a_source_brings_is_not_believed(fake, tmp_path, console):
    def liar(work, table, console):
        for name, expected in table.items():
            yield verified(name, "liar", b"other bytes", expected)

    console.quiet = True  # then the error tells why
    with pytest.raises(UserError, match=r"liar: .*SHA-256 is not that of CIFAR-10's data_batch_1"):
        fetch(tmp_path, console=console, table=fake.table, sources={"liar": liar})
    assert not list(tmp_path.glob("**/*.bin"))


def test_a_damaged_batch_is_named_and_mended(fake, source, tmp_path, console):
    fetch(tmp_path, console=console, table=fake.table, sources={"one": source})
    damaged = tmp_path / FOLDER / "data_batch_2.bin"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    faults = {batch.where: batch.fault for batch in verify(tmp_path, fake.table).values() if batch.fault}
    assert list(faults) == [str(damaged)]
    fetch(tmp_path, console=console, table=fake.table, sources={"one": source})
    assert source.asked[1:] == [["data_batch_2"]]
    assert f"{damaged}: its SHA-256" in console.file.getvalue()
    assert damaged.read_bytes() == fake.contents["data_batch_2"]


def test_a_folder_in_another_layout_is_left_as_it_is(fake, tmp_path, console):
    folder = fake.folder(tmp_path / "data" / "cifar-10-batches-py", "py")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    found = fetch(tmp_path / "data", console=console, table=fake.table, sources={"none": away})
    assert {name: batch.content for name, batch in found.items()} == fake.contents
    assert {path: path.read_bytes() for path in (tmp_path / "data").glob("*/*")} == before


def test_nobody_serves(fake, tmp_path, console):
    advice = r"; put cifar-10-binary\.tar\.gz into .*, or take --data sample$"
    sources = {"a": away, "b": away}
    with pytest.raises(UserError, match=f"fetched{advice}"):
        fetch(tmp_path, console=console, table=fake.table, sources=sources)
    assert console.file.getvalue().count("no network") == 2  # each source's reason, once
    console.quiet = True  # then nothing but the error can tell them
    with pytest.raises(UserError, match=rf"fetched \(a: no network .*; b: no network .*\){advice}"):
        fetch(tmp_path, console=console, table=fake.table, sources=sources)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_place_that_can_t_hold_it_is_one_line(fake, source, tmp_path, console, place):
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(UserError, match="file") as error:
        fetch(tmp_path / place, console=console, table=fake.table, sources={"one": source})
    assert "\n" not in str(error.value)
    assert (tmp_path / "file").read_bytes() == b"in the way"


def test_two_threads_fetch_once(fake, source, tmp_path, console):
    def slow(work, table, console):
        time.sleep(0.2)
        yield from source(work, table, console)

    results = []

    def run():
        results.append(fetch(tmp_path, console=console, table=fake.table, sources={"slow": slow}))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(source.asked) == 1
    assert [{name: batch.content for name, batch in found.items()} for found in results] == [
        fake.contents
    ] * 3


def test_another_process_is_waited_for(fake, source, tmp_path, console):
    other = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import filelock, shutil, sys\n"
            "with filelock.FileLock(sys.argv[1] + '/.lock'):\n"
            "    print('held', flush=True)\n"
            "    sys.stdin.readline()\n"
            "    shutil.copytree(sys.argv[2], sys.argv[1] + '/cifar-10-batches-bin')\n",
            str(tmp_path),
            str(fake.folder(tmp_path / "elsewhere", "bin")),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "held\n"
    threading.Timer(0.3, lambda: other.communicate("go\n")).start()
    found = fetch(tmp_path, console=console, table=fake.table, sources={"one": source})
    assert {name: batch.content for name, batch in found.items()} == fake.contents
    assert source.asked == []
    assert "waiting" in console.file.getvalue()


def test_the_variable_chooses_the_cache(fake, source, tmp_path, console, monkeypatch):
    monkeypatch.setenv("PLUSX_CACHE", str(tmp_path / "mine"))
    fetch(console=console, table=fake.table, sources={"one": source})
    assert (tmp_path / "mine" / FOLDER / "test_batch.bin").exists()


def test_verify_names_what_is_missing(fake, tmp_path):
    (fake.folder(tmp_path / "data", "bin") / "data_batch_5.bin").unlink()
    batches = verify(tmp_path / "data", fake.table)
    assert list(batches) == list(fake.table)
    assert [batch for batch in batches.values() if batch.fault] == [
        Batch("data_batch_5", str(tmp_path / "data"), b"", "missing")
    ]


def test_info_counts_and_computes(fake, tmp_path):
    folder = fake.folder(tmp_path / "data", "bin")
    facts = info(folder, fake.table)
    train = np.concatenate([fake.images[name] for name in fake.table if name != "test_batch"]) / 255
    np.testing.assert_allclose(facts.mean, train.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(facts.std, train.std((0, 1, 2)), rtol=1e-12)
    labels = [label for name in fake.table if name != "test_batch" for label in fake.labels[name].tolist()]
    assert list(facts.counts["train"].values()) == [labels.count(label) for label in range(10)]
    assert sum(facts.counts["test"].values()) == 3
    assert (facts.folder, len(facts.batches)) == (folder, 6)
    said = str(facts).splitlines()
    assert str(folder) in said[0]
    assert said[1].startswith("train: 15 pictures (airplane ")
    assert f"{train.std((0, 1, 2))[2]:.8f}" in said[-1]


def test_info_of_a_damaged_batch_is_one_line(fake, tmp_path):
    folder = fake.folder(tmp_path / "data", "bin")
    (folder / "data_batch_1.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"data_batch_1\.bin: .*SHA-256.*plusx data fetch"):
        info(folder, fake.table)


def test_cifar10_reads_its_split(fake, tmp_path):
    root = fake.folder(tmp_path / "data", "py")
    images, labels = cifar10("train", root, table=fake.table)
    np.testing.assert_array_equal(images[12:], fake.images["data_batch_5"])
    np.testing.assert_array_equal(labels[:3], fake.labels["data_batch_1"])
    assert len(cifar10("test", root, table=fake.table)[0]) == 3
    with pytest.raises(ValueError, match="validation"):
        cifar10("validation", root)


def test_the_table_is_that_of_the_official_batches():
    assert list(BATCHES) == [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    assert all(len(bytes.fromhex(value)) == 32 for value in BATCHES.values())
