"""Write formulas as MathML, which browsers draw themselves.

The usual renderers load a JavaScript library from a content delivery network, so a page read
offline shows raw LaTeX. The converter used here is part of docutils, which Sphinx needs anyway.
It knows most of LaTeX's mathematics; a formula that it cannot read is a warning.
"""

import html
import re
from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)

MATHML = "http://www.w3.org/1998/Math/MathML"
ElementTree.register_namespace("", MATHML)
APPLY = "\u2061"  # stands between the name of a function and its argument
ACCENTS = {"\u02c6", "\u02c9", "\u00af", "\u02dc"}


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
        return mended(tex2mathml(source, as_block=as_block))
    except MathError as error:
        logger.warning("formula %r: %s", source, error, location=node)
        return f"<code>{translator.encode(source)}</code>"


def mended(mathml):
    """Return a formula with the spaces and the indices that TeX would set.

    The converter sets the index of a letter with a hat below the letter, and no space between the
    name of a function and a letter beside it.
    """
    # XML has no names for signs but these three.
    mathml = re.sub(
        r"&(?!amp;|lt;|gt;)\w+;", lambda name: html.unescape(name[0]), mathml
    )
    root = ElementTree.fromstring(mathml)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == _tag("munderover") and child[2].text in ACCENTS:
                _set_index_beside(child)
        _space_names(parent)
    return ElementTree.tostring(
        root, encoding="unicode", short_empty_elements=False
    )


def _tag(name):
    """Return the name of an element of MathML."""
    return f"{{{MATHML}}}{name}"


def _set_index_beside(element):
    """Make ``letter, index, accent`` an index beside the letter with its accent."""
    letter, index, accent = element
    accented = ElementTree.Element(_tag("mover"), accent="true")
    accented.extend([letter, accent])
    element.tag = _tag("msub")
    element[:] = [accented, index]


def _space_names(parent):
    """Put thin spaces around names such as "log" where no bracket or sign does."""
    children = list(parent)
    for i, sign in enumerate(children):
        if sign.text != APPLY or not i:
            continue
        before = children[i - 2] if i > 1 else None
        after = children[i + 1] if i + 1 < len(children) else None
        if after is not None and not _is_sign(after):
            _insert_space(parent, list(parent).index(sign) + 1)
        if before is not None and not _is_sign(before):
            _insert_space(parent, list(parent).index(children[i - 1]))


def _is_sign(element):
    """Whether an element is a bracket or another sign, or begins with one."""
    if element.tag == _tag("mrow") and len(element):
        return _is_sign(element[0])
    return element.tag in (_tag("mo"), _tag("mspace"))


def _insert_space(parent, place):
    """Insert a thin space."""
    parent.insert(place, ElementTree.Element(_tag("mspace"), width="0.1667em"))


def setup(app):
    """Register the renderer with Sphinx."""
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(visit_math, None),
        block_renderers=(visit_displaymath, None),
    )
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
