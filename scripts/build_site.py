"""Build the documentation site, English and Chinese, from docs/, the docstrings and docs/results.

    python scripts/build_site.py build/site

Any warning ends it. The pages load nothing from the network; `index.html` opens in the reader's language.
"""

import sys
from pathlib import Path

from sphinx.cmd.build import build_main

ROOT = Path(__file__).parents[1]
LANGUAGES = ("en", "zh")
ENTRY = """<!doctype html>
<meta charset="utf-8">
<title>plusx</title>
<script>location.replace((navigator.language.startsWith("zh") ? "zh" : "en") + "/docs/index.html")</script>
<p><a href="en/docs/index.html">English</a> · <a href="zh/docs/index.html">中文</a></p>
"""


def build(target: Path, language: str) -> int:
    """Build one language; return Sphinx's exit code."""
    out, doctrees = target / language, target / ".doctrees" / language
    options = ["-q", "--fail-on-warning", "--keep-going", "-t", language, "-c", ROOT / "docs", "-d", doctrees]
    return build_main([*map(str, options), str(ROOT), str(out)])


def main(target: Path) -> None:
    """Build both languages and the page that chooses."""
    for language in LANGUAGES:
        print(f"building {target / language} …", flush=True)
        if build(target, language):
            raise SystemExit(1)
    (target / "index.html").write_text(ENTRY, encoding="utf-8")
    print(f"open {target / 'index.html'}, or python -m http.server -d {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
