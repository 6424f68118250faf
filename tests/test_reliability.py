"""docs/reliability.md: every row names tests that exist, and quotes lines that the code says."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("docs/reliability.md", "docs/reliability.zh-CN.md")
NOT_OURS = {"No space left on device", "File too large", "Permission denied"}  # the operating system's


def rows(page: str) -> list[list[str]]:
    """The rows of all tables of three columns, without their headings."""
    text = (ROOT / page).read_text(encoding="utf-8")
    tables = re.findall(r"^\|(?: --- \|){3}\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [line.strip("| ").split(" | ") for table in tables for line in table.splitlines()]


def files(page: str) -> dict[str, str]:
    """The test files by the letters that stand for them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return dict(re.findall(r"\b([A-Z]) = \[(tests/[\w/]+\.py)\]", text))


@pytest.mark.parametrize("page", PAGES)
def test_every_row_names_tests_that_exist(page: str) -> None:
    table, places = rows(page), files(page)
    assert len(table) > 50
    for _, _, tests in table:
        letter = ""
        for test in tests.split("; "):
            *begins, name = test.split(": ")
            letter = begins[0] if begins else letter  # that of the test before
            code = (ROOT / places[letter]).read_text(encoding="utf-8")
            function = "test_" + re.sub(r"\W", "_", name)
            assert f"def {function}(" in code, f"{places[letter]} has no {function}"


def test_both_languages_name_the_same_tests_and_lines() -> None:
    english, chinese = (rows(page) for page in PAGES)
    assert files(PAGES[0]) == files(PAGES[1])
    for ours, theirs in zip(english, chinese, strict=True):
        assert ours[2] == theirs[2]
        assert re.findall(r"`([^`]+)`", ours[1]) == re.findall(r"`([^`]+)`", theirs[1])


def test_the_quoted_lines_are_those_of_the_code() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    code = re.sub(r'"\s*\n\s*f?"', "", sources)  # texts that the lines of the code cut
    for _, happens, _ in rows(PAGES[0]):
        for line in re.findall(r"`([^`]+)`", happens):
            for piece in re.split("…|: |; ", line):
                words = re.sub(r"^\W+|\W+$", "", piece)
                assert words in NOT_OURS or words in code, f"no line says {words!r}"
