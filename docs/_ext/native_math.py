"""Write formulas as MathML, which browsers draw themselves.

The usual renderers load a JavaScript library from a content delivery network, so a page read
offline shows raw LaTeX. The converter used here is part of docutils, which Sphinx needs anyway.
It knows most of LaTeX's mathematics; a formula that it cannot read is a warning.
"""

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)


def visit_math(translator, node):
    """Write a formula that stands in a line of text."""
    translator.body.append(_mathml(translator, node, as_block=False))
    raise nodes.SkipNode


def visit_displaymath(translator, node):
    """Write a formula that stands by itself."""
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    translator.body.append(_mathml(translator, node, as_block=True))
    translator.body.append("</div>")
    raise nodes.SkipNode


def _mathml(translator, node, as_block):
    """Convert a formula, or show its source and warn."""
    source = node.astext()
    try:
        return tex2mathml(source, as_block=as_block)
    except MathError as error:
        logger.warning("formula %r: %s", source, error, location=node)
        return f"<code>{translator.encode(source)}</code>"


def setup(app):
    """Register the renderer with Sphinx."""
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(visit_math, None),
        block_renderers=(visit_displaymath, None),
    )
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
