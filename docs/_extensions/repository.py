"""The repository's own files in the site: code with its lines numbered, folders as lists, the rest as it is.

A link in a page to `../src/plusx/ops/convolution/conv.py` works in the repository; here it leads to
`files/src/plusx/ops/convolution/conv.py.html`. So do the reference's "source" links, each to its line.
"""

import inspect
import shutil
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.osutil import relative_uri

ROOT = Path(__file__).parents[2]
FOLDERS = ("src/plusx", "tests", "scripts", "docs/_extensions", "docs/results", "docs/pictures")
SINGLE = ("LICENSE", "CITATION.cff", "Makefile", "pyproject.toml", ".github/workflows/test.yml")
CODE = (".py", ".toml")


def files() -> Iterator[Path]:
    """Every file and folder that a page may link to."""
    yield from (ROOT / name for name in SINGLE)
    for folder in FOLDERS:
        yield ROOT / folder
        yield from (path for path in sorted((ROOT / folder).rglob("*")) if "__pycache__" not in path.parts)


def page_name(path: Path) -> str:
    """Where the site has it, below its root."""
    name = f"files/{path.relative_to(ROOT)}"
    return f"{name}/contents" if path.is_dir() else name


def address(path: Path) -> str:
    """The same as a URL: a page for code and folders, the file itself for everything else."""
    return page_name(path) + (".html" if path.is_dir() or path.suffix in CODE else "")


class LinkToFiles(SphinxTransform):
    """Turn links to files that are no pages of the site into links to the site's copies."""

    default_priority = 5

    def apply(self, **kwargs: Any) -> None:
        """Rewrite each in place."""
        known = set(files())
        for link in [
            *self.document.findall(addnodes.download_reference),
            *self.document.findall(addnodes.pending_xref),
        ]:
            _, absolute = self.env.relfn2path(link["reftarget"].partition("#")[0], self.env.docname)
            path = Path(absolute).resolve()
            if path in known:
                here = self.app.builder.get_target_uri(self.env.docname)
                uri = relative_uri(here, address(path))
                link.replace_self(nodes.reference("", "", *link.children, refuri=uri, internal=True))


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, str], str]]:
    """A page for each piece of code and each folder; other files are copied beside them."""
    formatter = HtmlFormatter(linenos="inline", lineanchors="L", cssclass="highlight")
    for path in files():
        title = str(path.relative_to(ROOT))
        if path.is_dir():
            inside = sorted(entry for entry in path.iterdir() if entry.name != "__pycache__")
            links = [
                f'<li><a href="{relative_uri(address(path), address(entry))}">{escape(entry.name)}</a></li>'
                for entry in inside
            ]
            body = f"<ul>{''.join(links)}</ul>"
        elif path.suffix in CODE:
            body = highlight(path.read_text(encoding="utf-8"), get_lexer_for_filename(path.name), formatter)
        else:
            target = Path(app.outdir) / address(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            continue
        yield page_name(path), {"title": title, "body": f"<h1>{escape(title)}</h1>{body}"}, "page.html"


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """Where the reference's "source" leads; the reference's pages all lie in docs/api."""
    thing: Any = sys.modules[info["module"]]
    try:
        for name in info["fullname"].split("."):
            thing = getattr(thing, name)
        thing = inspect.unwrap(thing.fget if isinstance(thing, property) else thing)
        path, (_, line) = Path(inspect.getsourcefile(thing) or ""), inspect.getsourcelines(thing)
    except (AttributeError, TypeError, OSError):
        return None
    if not path.is_relative_to(ROOT / "src"):
        return None
    return f"../../{address(path)}#L-{line}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Hook in: after a page was read, and when the pages are written."""
    app.add_transform(LinkToFiles)
    app.connect("html-collect-pages", pages)
    app.connect("config-inited", lambda app, config: setattr(config, "linkcode_resolve", linkcode_resolve))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
