"""Fonts: what is said where one is missing, and what is not said where one is only plain."""

import warnings
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from plusx.report import style


def draw(text: str, **how: str) -> None:
    with style.applied(style.LIGHT):
        figure = Figure(figsize=(1, 1))
        figure.text(0, 0, text, **how)
        style.to_png(figure)


def test_missing_characters_are_one_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    style._say_that_fonts_are_missing.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw("a name in hieroglyphs: \U00013000\U00013001")
        draw("\U00013000")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "fonts-noto-cjk" in said


def test_other_warnings_are_passed_on() -> None:
    with pytest.warns(UserWarning, match="something else"), style.applied(style.LIGHT):
        warnings.warn("something else", stacklevel=1)


def test_a_font_without_a_bold_face_is_no_matter(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    plain = font_manager.FontEntry(fname=str(file), name="SimHei", weight=400, size="scalable")
    others = [font for font in font_manager.fontManager.ttflist if font.name != "SimHei"]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*others, plain])
    draw("bold", weight="bold")
    assert caplog.text == ""
