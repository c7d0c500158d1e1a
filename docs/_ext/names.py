"""From each public name in the text to its place in the reference."""

import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

DOCS = Path(__file__).resolve().parents[1]
REFERENCE = re.compile(r"^\.\. auto\w+:: (BayesianJaxModels\.([\w.]+))$", re.MULTILINE)
NAMES = {
    name: target
    for page in sorted((DOCS / "reference").glob("*.md"))
    for target, name in REFERENCE.findall(page.read_text())
}
# By their last word too, but for those of `plot`, which are verbs.
NAMES |= {
    name.rpartition(".")[2]: target
    for name, target in NAMES.items()
    if not name.startswith("plot.")
}
# Where a link would be wrong or is there already.
NOT_IN = (nodes.title, nodes.reference, addnodes.pending_xref, addnodes.desc_signature)


def setup(app):
    """Register with Sphinx."""
    app.connect("doctree-read", lead)
    return {"parallel_read_safe": True}


def lead(app, doctree):
    """Make references of the names in inline code."""
    for literal in list(doctree.findall(nodes.literal)):
        name = literal.astext().removeprefix("bjm.").removesuffix("()")
        above = list(ancestors(literal))
        if name not in NAMES or any(isinstance(node, NOT_IN) for node in above):
            continue
        own = [node for node in above if isinstance(node, addnodes.desc)]
        if any(
            NAMES[name] in signature["ids"] for node in own for signature in node[:1]
        ):
            continue
        link = addnodes.pending_xref(
            "", refdomain="py", reftype="obj", reftarget=NAMES[name], refexplicit=True
        )
        link["refdoc"] = app.env.docname
        literal.replace_self(link)
        link += literal


def ancestors(node):
    """All that a node stands in, from the inside outwards."""
    while node.parent is not None:
        node = node.parent
        yield node
