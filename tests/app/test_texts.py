"""Every text stands in both languages, says the same values, and is used."""

import re
from pathlib import Path
from string import Formatter

import pytest

import plusx.app
from plusx.app.texts import LANGUAGES, Texts, preferred, read

ROOM = Path(plusx.app.__file__).parent
FILES = sorted(path.stem for path in (ROOM / "texts").glob("*.toml"))
CODE = "\n".join(path.read_text(encoding="utf-8") for path in [*ROOM.rglob("*.py"), *ROOM.rglob("*.jinja")])


@pytest.mark.parametrize("name", FILES)
def test_each_text_stands_in_both_languages_with_the_same_values(name: str) -> None:
    for key, texts in read(name).items():
        assert set(texts) == set(LANGUAGES), key
        fields = {
            language: {found for _, found, _, _ in Formatter().parse(text) if found}
            for language, text in texts.items()
        }
        assert fields["en"] == fields["zh"], key
        assert re.search(r"[\u4e00-\u9fff]", texts["zh"]) or texts["zh"] == texts["en"], key
        assert not re.search(r"[\u4e00-\u9fff]", texts["en"]), key


@pytest.mark.parametrize("name", FILES)
def test_each_text_is_used(name: str) -> None:
    prefixes = set(re.findall(r"""[f"']"?(\w+_)(?:\{|["'] ~)""", CODE))
    unused = [
        key
        for key in read(name)
        if not re.search(rf"\b{key}\b", CODE) and not any(key.startswith(prefix) for prefix in prefixes)
    ]
    assert unused == []


def test_values_are_filled_in() -> None:
    assert Texts("common", "en")("error_whole", least=1, most=3) == "Give a whole number from 1 to 3."


@pytest.mark.parametrize(
    ("header", "language"),
    [("zh", "zh"), ("en-GB,zh;q=0.5", "en"), ("en;q=0.1,zh-TW;q=0.2", "zh"), ("en;q=x", "en"), (",;,", "en")],
)
def test_the_browser_s_languages(header: str, language: str) -> None:
    assert preferred(header) == language
