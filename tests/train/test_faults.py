"""Faults while a run is written: a full disk, a read-only folder, two at once, a set clock, an interrupt."""

import errno
import os
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image

from plusx import cli, data
from plusx.commands.train import train
from plusx.errors import UserError
from plusx.files import write_whole
from plusx.models import load
from plusx.text import clock
from plusx.train import Interrupted, claim, locked
from plusx.train.measuring import Measure
from plusx.train.recipe import Recipe, to_toml

SMALL = [
    *("training.batch_size=100", "training.small_epochs=2", "training.small_size=8", "evaluation.views=none")
]


def run_on_sample(run: Path, **options: object) -> None:
    """The command itself, in this process: two epochs of tiny pictures."""
    train("fast", data="sample", out=run, epochs=2, settings=SMALL, device="cpu", quiet=True, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The kernel itself refuses to write more, as on a full disk, with "File too large"."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_keeps_what_was_there_and_leaves_nothing_else(small_disk) -> None:
    write_whole(small_disk / "result.json", "old")
    before = contents(small_disk)
    with pytest.raises(OSError, match="No space left on device") as error:
        write_whole(small_disk / "result.json", bytes(2**21))
    assert error.value.filename == str(small_disk / "result.json")
    assert contents(small_disk) == before


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


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, MemoryError])
def test_an_interrupt_while_writing_leaves_the_old_file_alone(tmp_path, monkeypatch, stop) -> None:
    write_whole(tmp_path / "a", "old")

    def interrupted(_: int) -> None:
        raise stop

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(stop):
        write_whole(tmp_path / "a", "new")
    assert contents(tmp_path) == {"a": b"old"}


def test_what_a_killed_process_left_is_written_over(tmp_path) -> None:
    killed = (
        "import os, sys; from pathlib import Path; from plusx.files import write_whole\n"
        "os.fsync = lambda _: os.kill(os.getpid(), 9)\n"
        "write_whole(Path(sys.argv[1]), 'half')"
    )
    assert subprocess.run([sys.executable, "-c", killed, tmp_path / "a"]).returncode == -9
    ((name, half),) = contents(tmp_path).items()
    write_whole(tmp_path / "a", "whole")
    assert contents(tmp_path) == {"a": b"whole", name: b"half"} == {"a": b"whole", name: half}
    long_ago = time.time() - 4000
    os.utime(tmp_path / name, (long_ago, long_ago))
    (tmp_path / "a.my-own.part").write_text("precious")
    os.utime(tmp_path / "a.my-own.part", (long_ago, long_ago))
    write_whole(tmp_path / "a", "again")
    assert contents(tmp_path) == {"a": b"again", "a.my-own.part": b"precious"}


def test_nothing_is_written_through_a_link_that_lies_there(tmp_path) -> None:
    (tmp_path / "precious").write_text("mine")
    for name in ("a", f"a.{os.getpid()}-{threading.get_native_id()}.part"):
        (tmp_path / name).symlink_to(tmp_path / "precious")
    write_whole(tmp_path / "a", "new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "a").is_symlink()
    assert contents(tmp_path) == {"a": b"new", "precious": b"mine"}


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


def test_no_time_left_is_never_negative() -> None:
    assert [clock(seconds) for seconds in (-1e9, -0.1, 0, float("nan"), float("inf"))] == [
        *("0:00", "0:00", "0:00", "–", "–")
    ]


def test_a_reader_that_has_enough_ends_the_command_quietly() -> None:
    program = "from plusx import cli; cli.app = lambda **_: print('x' * 10**6); cli.main()"
    plusx = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert plusx.stdout is not None
    plusx.stdout.close()
    _, said = plusx.communicate(timeout=100)
    assert (plusx.returncode, said) == (141, b"")


def _no_memory() -> Exception:
    """What torch itself raises."""
    try:
        torch.empty(2**50)
    except Exception as error:
        return error
    raise AssertionError("a petabyte of memory")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left", "runs/a"), "plusx: runs/a: No space left\n"),
        (OSError(errno.EROFS, "Read-only file system"), "plusx: writing: Read-only file system\n"),
        (MemoryError(), "plusx: memory ran out; "),
        (_no_memory(), "plusx: memory ran out; "),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "plusx: memory ran out; "),
    ],
)
def test_what_goes_wrong_outside_is_one_line_and_exit_code_2(monkeypatch, capsys, error, says) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(says)
