"""Docstrings are Markdown; this is how autodoc, which reads rST, comes to read them.

Of Markdown they have inline code and fenced blocks of code, nothing else.
"""

import inspect
import re

from signatures import init_of

FENCE = re.compile(r"( *)```(\w*)$")
CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


def setup(app):
    """Register with Sphinx, to come before napoleon."""
    app.connect("autodoc-process-docstring", process, priority=100)
    from sphinx.domains.python import PyObject  # the tests do without

    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    return {"parallel_read_safe": True}


def process(app, what, name, thing, options, lines):
    """What autodoc calls with the lines of a docstring, to be changed in place."""
    if what == "class":
        lines[:] = with_arguments(lines, thing)
    lines[:] = as_rst(lines)


def with_arguments(lines, cls):
    """The docstring of a class with what that of its `__init__` says of arguments.

    The class has said what it is, so what comes first there, as `Make a layer.`, is
    left out.
    """
    init = init_of(cls)
    _, _, rest = inspect.cleandoc((init and init.__doc__) or "").partition("\n\n")
    if not rest:
        return lines
    ends = [i for i, line in enumerate(lines) if line in ("Attributes:", "Example:")]
    at = min(ends, default=len(lines))
    return [*lines[:at], "", *rest.split("\n"), "", *lines[at:]]


def as_rst(lines):
    """The lines of a docstring in Markdown, in rST."""
    text, block, indent = [], None, ""
    out = []

    def flush():
        out.extend(inline("\n".join(text)).split("\n") if text else [])
        text.clear()

    for line in lines:
        fence = FENCE.match(line)
        if fence and block is None:
            flush()
            indent, block = fence[1], []
            out.extend([f"{indent}.. code-block:: {fence[2] or 'text'}", ""])
        elif fence:
            out.extend([*block, ""])
            block = None
        elif block is not None:
            rest = line.removeprefix(indent)
            block.append(f"{indent}    {rest}" if rest.strip() else "")
        else:
            text.append(line)
    flush()
    return out


def inline(text):
    """Text with inline code as rST has it, and everything else as it stands.

    Stars before the names of arguments are left for napoleon.
    """
    parts, end = [], 0
    for match in CODE.finditer(text):
        before, after = text[end : match.start()], text[match.end() : match.end() + 1]
        # What stands close by, as in a plural, rST wants set apart.
        left = "\\ " if before[-1:].isalnum() else ""
        right = "\\ " if after.isalnum() else ""
        parts += [before, left, f"``{' '.join(match[2].split())}``", right]
        end = match.end()
    return "".join([*parts, text[end:]])
