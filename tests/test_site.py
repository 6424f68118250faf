"""The documentation site: both languages build without a warning, hang together, and need no network."""

import importlib.util
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from plusx.lab import EXPERIMENTS

ROOT = Path(__file__).parents[1]
LESSON = [ROOT / f"docs/lesson/{name}.md" for name in ("cnn", "convolution", "pooling", "resnet")]
FORMULA = re.compile(r"<math.+?</math>", re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, ROOT / "scripts/build_site.py", target]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


class Page(HTMLParser):
    """What a page loads, where it links to, and which anchors it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                (self.links if tag == "a" else self.loaded).add(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_every_link_and_picture_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    broken = set()
    for page, content in pages.items():
        for link in content.links | content.loaded:
            if re.match(r"\w+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path.partition("?")[0]).resolve() if path else page
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.add((str(page.relative_to(site)), link))
    assert len(pages) > 300
    assert sorted(broken)[:10] == []


def test_nothing_comes_from_the_network(pages: dict[Path, Page]) -> None:
    loaded = set().union(*(page.loaded for page in pages.values()))
    assert len(loaded) > 30
    assert [address for address in loaded if re.match(r"(\w+:)?//", address)] == []


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("page", LESSON, ids=lambda page: page.stem)
def test_formulas_are_drawn_by_the_browser_itself(site: Path, language: str, page: Path) -> None:
    source = page.read_text(encoding="utf-8")
    html = (site / language / "docs/lesson" / f"{page.stem}.html").read_text(encoding="utf-8")
    formulas = [formula for formula in FORMULA.findall(html) if 'display="block"' in formula]
    assert len(formulas) == source.count("$$\n") // 2
    assert "$$" not in html


@pytest.mark.parametrize(
    ("language", "words"), [("en", ["bottleneck", "gradient"]), ("zh", ["池化", "化层", "gradient"])]
)
def test_the_search_index_knows_the_lesson_s_words(site: Path, language: str, words: list[str]) -> None:
    index = (site / language / "searchindex.js").read_text(encoding="utf-8")
    terms = json.loads(index.removeprefix("Search.setIndex(").rstrip().removesuffix(")"))["terms"]
    assert [word for word in words if word not in terms] == []


def test_chinese_text_and_query_are_cut_into_the_same_pairs() -> None:
    spec = importlib.util.spec_from_file_location("search", ROOT / "docs/_extensions/chinese_search.py")
    assert spec is not None
    assert spec.loader is not None
    search = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(search)
    assert search.split("3×3卷积核，max_pool2d 与池") == ["3", "3", "卷积", "积核", "max_pool2d", "与池"]
    assert search.split("") == []


@pytest.mark.parametrize("page", LESSON, ids=lambda page: page.stem)
def test_both_languages_show_the_same_formulas_code_and_experiments(page: Path) -> None:
    def shown(text: str) -> list[str]:
        found = re.findall(r"^\$\$\n(.+?)^\$\$|^```\{(.+?)^```", text, re.MULTILINE | re.DOTALL)
        return [re.sub(r"\\text\{.+?\}", "", formula or directive) for formula, directive in found]

    english, chinese = page, page.with_suffix(".zh-CN.md")
    assert len(shown(english.read_text(encoding="utf-8"))) >= 4
    assert shown(english.read_text(encoding="utf-8")) == shown(chinese.read_text(encoding="utf-8"))


def test_every_experiment_stands_in_the_lesson() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in LESSON)
    assert sorted(re.findall(r"^```\{experiment\} (\S+)$", text, re.MULTILINE)) == sorted(EXPERIMENTS)
