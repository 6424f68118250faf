"""Faults while a run is written: a full disk, a read-only folder, two at once, a set clock, an interrupt."""

import resource
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from plusx import data
from plusx.commands.train import train
from plusx.errors import UserError
from plusx.files import write_whole
from plusx.models import load
from plusx.train import Interrupted, claim, locked
from plusx.train.measuring import Measure
from plusx.train.recipe import Recipe, to_toml
from tests.conftest import contents

SMALL = [
    *("training.batch_size=100", "training.small_epochs=2", "training.small_size=8", "evaluation.views=none")
]


def run_on_sample(run: Path, **options: object) -> None:
    """The command itself, in this process: two epochs of tiny pictures."""
    train("fast", data="sample", out=run, epochs=2, settings=SMALL, device="cpu", quiet=True, **options)


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The kernel itself refuses to write more, as on a full disk, with "File too large"."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_run_on_a_full_disk_says_how_to_go_on_and_can(small_disk, monkeypatch) -> None:
    run = small_disk / "run"
    with pytest.raises(UserError) as error:
        run_on_sample(run)  # a checkpoint has more than the disk's mebibyte
    assert "No space left on device; mend that, then go on with: plusx train --resume" in str(error.value)
    assert "checkpoints" in str(error.value)
    assert not [path for path in contents(run) if path.endswith(".part")]
    subprocess.run(["mount", "-o", "remount,size=99m", small_disk], check=True)
    monkeypatch.setattr("plusx.report.write_report", lambda *_, **__: None)
    train(resume=run, quiet=True)
    assert load(run).card.model == "fast"


def test_a_file_that_the_kernel_refuses_is_told_by_name(tmp_path) -> None:
    with (
        no_file_larger_than(100_000),
        pytest.raises(UserError, match=r"checkpoints/.*: File too large; mend"),
    ):
        run_on_sample(tmp_path / "run")
    assert not [path for path in contents(tmp_path) if path.endswith(".part")]


def test_a_folder_that_became_read_only_keeps_the_checkpoint(open_folder, read_only, monkeypatch) -> None:
    run = open_folder / "run"
    saved: list[Path] = []

    def then_read_only(path: Path, content: str | bytes) -> None:
        write_whole(path, content)
        saved.append(path)
        read_only(run / "checkpoints", run)

    monkeypatch.setattr("plusx.train.checkpoint.write_whole", then_read_only)
    with pytest.raises(UserError, match=r"Permission denied; mend that, then go on with: plusx train"):
        run_on_sample(run)
    assert saved[0].exists()
    assert not (run / "result.json").exists()


def test_a_read_only_place_for_a_run_is_a_line(open_folder, read_only) -> None:
    read_only(open_folder)
    with pytest.raises(UserError, match=r"can't write to .*: Permission denied; choose another --out"):
        run_on_sample(open_folder / "run")
    assert contents(open_folder) == {}


def test_pictures_too_small_for_what_is_done_to_them_are_a_line(tmp_path) -> None:
    with pytest.raises(UserError, match=r"data\.crop=32 shifts pictures of 32×32 by more than 31 pixels"):
        train("fast", data="sample", out=tmp_path / "run", settings=["data.crop=32"], quiet=True)
    (tmp_path / "pictures").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir()
        for number, image in enumerate(data.sample("train")[0][:20]):
            Image.fromarray(image).rotate(number).save(tmp_path / "pictures" / name / f"{number}.png")
    with pytest.raises(UserError, match="pictures of 4×4 are too small for this network: kernel_size 2"):
        train(
            "fast",
            data=str(tmp_path / "pictures"),
            out=tmp_path / "run",
            settings=["data.size=4"],
            quiet=True,
        )
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_a_command_wrote_is_taken_as_it_is(tmp_path, monkeypatch) -> None:
    def resolved(name: str, **options: object) -> Recipe:
        with pytest.raises(StopIteration):
            train(name, data="sample", out=tmp_path / "run", quiet=True, **options)
        return found[-1]

    def keep(recipe: Recipe, *_: object, **__: object) -> None:
        found.append(recipe)
        raise StopIteration

    found: list[Recipe] = []
    monkeypatch.setattr("plusx.commands.train.Trainer", keep)
    first = resolved("fast", settings=["training.batch_size=400", "training.scale_batch=true"])
    assert (first.training.batch_size, first.training.scale_batch) == (400, False)
    fitted = resolved("fast")
    assert fitted.training.batch_size < 1000
    for recipe in (first, fitted):
        (tmp_path / "again.toml").write_text(to_toml(recipe))
        assert resolved(str(tmp_path / "again.toml")) == recipe


def test_an_interrupt_while_the_finished_network_is_measured_says_how_to_go_on(tmp_path, monkeypatch) -> None:
    run = tmp_path / "my run"
    with monkeypatch.context() as patched:
        patched.setattr(Measure, "accuracy_with_views", lambda *_: signal.raise_signal(signal.SIGINT))
        with pytest.raises(Interrupted) as stopped:
            run_on_sample(run, data_dir=tmp_path / "there", strict=True)
    assert stopped.value.signal == signal.SIGINT
    assert shlex.split(stopped.value.again) == [
        *("plusx", "train", "--resume", str(run), "--data-dir", str(tmp_path / "there"), "--strict")
    ]
    assert not (run / "result.json").exists()
    monkeypatch.setattr("plusx.report.write_report", lambda *_, **__: None)
    train(resume=run, quiet=True)
    assert (run / "result.json").exists()


def test_only_one_process_trains_in_a_directory(tiny, tmp_path) -> None:
    with locked(tmp_path / "run"):
        claim(tmp_path / "run", tiny())
        before = contents(tmp_path / "run")
        with pytest.raises(UserError, match="another process is training in"):
            train(resume=tmp_path / "run", quiet=True)
        assert contents(tmp_path / "run") == before


def test_two_that_begin_at_once_don_t_share_a_directory(tmp_path, monkeypatch) -> None:
    other = locked(tmp_path / "run")

    def meanwhile(*arguments: object, **options: object) -> object:
        other.__enter__()
        return sample(*arguments, **options)

    sample = data.load
    monkeypatch.setattr("plusx.commands.train.data_room.load", meanwhile)
    with pytest.raises(UserError, match="another process is training in"):
        run_on_sample(tmp_path / "run")
    other.__exit__(None, None, None)
    assert not (tmp_path / "run" / "recipe.toml").exists()


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_a_clock_that_is_set_changes_nothing(tiny, trainer, tmp_path, monkeypatch, jump) -> None:
    real, calls = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() + jump * (next(calls) % 2))
    result = trainer(tiny(), tmp_path / "run", mode="plain").train().result
    assert all(0 <= seconds < 600 for seconds in result["seconds"].values())
