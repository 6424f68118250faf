"""The documentation site: one source, two builds. `scripts/build_site.py` runs both.

`sphinx-build -c docs -t zh . OUT` takes the page `X.zh-CN.md` where there is one, and `X.md` where there is
none; without the tag only the English pages count. A page has the same name in both sites.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "_extensions"))

CHINESE = "zh" in tags  # type: ignore[name-defined]  # noqa: F821  Sphinx puts `tags` here

project = html_title = "plusx"
author = copyright = "The plusx maintainers"
language = "zh_CN" if CHINESE else "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.linkcode",
    "languages",
    "formulas",
    "repository",
    "experiments",
    "chinese_search",
]

# Pages.
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "docs/**/*.md"]
source_suffix = {".zh-CN.md": "markdown", ".md": "markdown"} if CHINESE else {".md": "markdown"}
translated = [str(page.relative_to(ROOT)) for page in (*ROOT.glob("*.zh-CN.md"), *HERE.rglob("*.zh-CN.md"))]
exclude_patterns = [page.replace(".zh-CN.md", ".md") for page in translated] if CHINESE else translated
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

# The reference, from the docstrings.
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
default_role = "code"  # what a docstring puts in backticks is code

# Appearance.
html_theme = "furo"
html_math_renderer = "mathml"
html_search_language = "zh" if CHINESE else "en"
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
