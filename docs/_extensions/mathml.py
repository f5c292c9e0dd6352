"""Formulas as MathML, which browsers draw by themselves; MathJax would need a network."""

from __future__ import annotations

import html
import re
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

MATHML = "http://www.w3.org/1998/Math/MathML"
ElementTree.register_namespace("", MATHML)
ACCENTS = set("ˉˆ˜~¯^_→˙¨")  # noqa: RUF001


def to_mathml(source: str, *, display: bool) -> str:
    """Return a formula as MathML, with indices of accented letters beside and not below them."""
    several_lines = display and "\\\\" in source and r"\begin" not in source
    if several_lines:
        source = rf"\begin{{aligned}}{source}\end{{aligned}}"
    # XML knows none of the named characters of HTML but these four
    markup = re.sub(
        r"&(?!amp;|lt;|gt;|quot;)\w+;",
        lambda found: html.unescape(found[0]),
        tex2mathml(source, as_block=display),
    )
    tree = ElementTree.fromstring(markup)
    for element in list(tree.iter(f"{{{MATHML}}}munderover")):
        base, below, above = element
        if "".join(above.itertext()).strip() in ACCENTS:
            accented = ElementTree.Element(f"{{{MATHML}}}mover", accent="true")
            accented.extend([base, above])
            element.clear()
            element.tag = f"{{{MATHML}}}msub"
            element.extend([accented, below])
    return ElementTree.tostring(tree, encoding="unicode")


def visit_inline(self: Any, node: nodes.math) -> None:
    """Write a formula in a line."""
    self.body.append(to_mathml(node.astext(), display=False))
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
    """Write a formula that stands alone."""
    self.body.append(f'<div class="math">{to_mathml(node.astext(), display=True)}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> dict:
    """Make it the way in which formulas are written."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
