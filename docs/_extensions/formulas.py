"""Formulas as MathML, which browsers draw by themselves: no script, no network."""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def show(writer: nodes.NodeVisitor, node: nodes.math | nodes.math_block) -> None:
    """Write one formula; what can't be read as LaTeX ends the build."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    try:
        formula = convert(node.astext(), display=display)
    except Exception as error:
        where = f"{node.source}:{node.line}"
        raise ExtensionError(f"{where}: {node.astext()!r} is not a formula: {error}") from error
    writer.body.append(f'<div class="formula">{formula}</div>' if display == "block" else formula)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer the renderer under the name that conf.py asks for."""
    app.add_html_math_renderer("mathml", inline_renderers=(show, None), block_renderers=(show, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
