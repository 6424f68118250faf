"""`plusx data` in this process: what its commands say."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plusx.commands.data import fetch, inspect
from plusx.data import BATCHES, sample
from plusx.data.layouts import Batch


def test_fetch_names_the_folder_whatever_it_is_called(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(*_: object, **__: object) -> dict[str, Batch]:
        return {name: Batch(name, f"/data [/mine]/cifar/{name}.bin", b"") for name in BATCHES}

    monkeypatch.setattr("plusx.commands.data.data_room.fetch", found)
    fetch()
    assert capsys.readouterr().out == "CIFAR-10 is whole: 6 batches in /data [/mine]/cifar\n"


def test_inspect_shows_pictures_of_every_split_and_writes_the_page_beside_the_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = sample("train")[0][:5]
    places = ("train/cat", "train/dog", "test/cat", "test/dog", "val/owl")  # owls to choose settings by alone
    for place, image in zip(places, images, strict=True):
        (tmp_path / "pets" / place).mkdir(parents=True)
        Image.fromarray(image).save(tmp_path / "pets" / place / "a.png")
    inspect(tmp_path / "pets", page=tmp_path / "page.html", as_json=True)
    said = capsys.readouterr()
    assert json.loads(said.out)["counts"]["validation"] == {"cat": 0, "dog": 0, "owl": 1}
    assert said.err.endswith(f"written: {tmp_path / 'page.html'}\n")
    found = re.findall(
        r"data:image/png;base64,([^\"]+)", (tmp_path / "page.html").read_text(encoding="utf-8")
    )
    with Image.open(io.BytesIO(base64.b64decode(found[-1]))) as strip:  # classes in alphabetical order
        np.testing.assert_array_equal(np.asarray(strip.convert("RGB")), images[4])
