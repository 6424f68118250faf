"""`plusx data` in this process: what its commands say."""

import pytest

from plusx.commands.data import fetch
from plusx.data import BATCHES
from plusx.data.layouts import Batch


def test_fetch_names_the_folder_whatever_it_is_called(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(*_: object, **__: object) -> dict[str, Batch]:
        return {name: Batch(name, f"/data [/mine]/cifar/{name}.bin", b"") for name in BATCHES}

    monkeypatch.setattr("plusx.commands.data.pictures_room.fetch", found)
    fetch()
    assert capsys.readouterr().out == "CIFAR-10 is whole: 6 batches in /data [/mine]/cifar\n"
