"""A page for each script of `examples`, and cards that lead to them.

A script in cells is a notebook, which is run; another one is shown as it stands.
"""

import os
import re
import shutil

import jupytext
from docutils import nodes
from repository import IN_CELLS, ROOT, relinked
from sphinx.errors import ConfigError

EXAMPLES, PAGES = ROOT / "examples", ROOT / "docs" / "gallery"
SHARED = "common"
CARDS = "<!-- cards: examples -->"
# A row of the table in `examples/README.md`.
ROW = re.compile(
    r"^\| \[!\[(?P<alt>.+?)\]\(.+?\)\]\(.+?\) \| \[`(?P<name>\w+)\.py`\]\(.+?\): "
    r"(?P<what>.+?) \| (?P<teaches>.+?) \| (?P<time>.+?) \|$",
    re.MULTILINE,
)
SAVED = re.compile(r"^The picture is /.*\n?", re.MULTILINE)
CARD = """\
:::{{grid-item-card}} {title}
:img-top: gallery/{name}.png
:img-alt: {alt}
:link: gallery/{name}
:link-type: doc

{text}
:::
"""


def setup(app):
    """Register with Sphinx."""
    app.connect("config-inited", make_pages)
    app.connect("source-read", put_cards)
    app.connect("doctree-read", leave_out_paths)
    return {"parallel_read_safe": True}


def make_pages(app, config):
    """Write the pages, where something has changed, and say which are run.

    Raises:
        ConfigError: If the variable `GALLERY` has a name that no script has.
    """
    PAGES.mkdir(exist_ok=True)
    pages = {}
    for name, script in scripts().items():
        if script.startswith(IN_CELLS):
            pages[f"{name}.py"] = in_cells(name, script)
        else:
            pages[f"{name}.md"] = as_it_stands(name, script)
    for old in PAGES.iterdir():
        if old.suffix in (".py", ".md") and old.name not in pages:
            old.unlink()
    for page, text in pages.items():
        path = PAGES / page
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        shutil.copyfile(picture(path.stem), PAGES / f"{path.stem}.png")
    if (asked := os.environ.get("GALLERY")) is not None:
        names = asked.replace(",", " ").split()
        if unknown := set(names) - set(scripts()):
            raise ConfigError(f"GALLERY has no example {', '.join(sorted(unknown))}.")
        config.nb_execution_excludepatterns = [
            f"gallery/{name}.py" for name in scripts() if name not in names
        ]


def read(script):
    """A notebook of a script in cells."""
    notebook = jupytext.reads(script, fmt="py:percent")
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["kernelspec"] = kernel
    return notebook


def put_cards(app, page, source):
    """Put the cards where a page asks for them."""
    if CARDS in source[0]:
        app.env.note_dependency(str(EXAMPLES / "README.md"))
        source[0] = source[0].replace(CARDS, cards())


def leave_out_paths(app, doctree):
    """Leave out where a script has put its picture, which stands below."""
    for block in list(doctree.findall(nodes.literal_block)):
        kept = SAVED.sub("", block.astext())
        if kept != block.astext():
            block[:] = [nodes.Text(kept)]
            block.rawsource = kept
            if not kept.strip():
                block.parent.remove(block)


def scripts():
    """The text of each script by its name, in the order of the examples' README."""
    found = {
        path.stem: path.read_text()
        for path in sorted(EXAMPLES.glob("*.py"))
        if path.stem != SHARED
    }
    order = [name for name in rows() if name in found]
    return {name: found[name] for name in [*order, *found]}


def rows():
    """The rows of the table in the examples' README, by the name of the script."""
    text = (EXAMPLES / "README.md").read_text()
    return {match["name"]: match.groupdict() for match in ROW.finditer(text)}


def cards():
    """A grid of cards, with a picture each, and the tree of their pages."""
    known, found = rows(), []
    for name, script in scripts().items():
        row = known.get(name, {"what": "", "teaches": "", "alt": name})
        text = sentence(row["what"]) + "\n\n" + sentence(row["teaches"])
        title = title_of(script)
        found.append(CARD.format(name=name, title=title, text=text, alt=row["alt"]))
    grid = ["::::{grid} 1 1 2 2", ":gutter: 3", "", *found, "::::"]
    pages = [f"gallery/{name}" for name in scripts()]
    return "\n".join([*grid, "", "```{toctree}", ":hidden:", "", *pages, "```"])


def sentence(words):
    """Words with a capital first and a full stop."""
    return words[:1].upper() + words[1:] + "." * bool(words)


def title_of(script):
    """The heading of a script, or the first line of its docstring."""
    if script.startswith(IN_CELLS):
        return script.removeprefix(IN_CELLS).splitlines()[0].lstrip("# ")
    return script.removeprefix('"""').splitlines()[0].rstrip(".")


def how_to_run(name):
    """Where the script is, how to run it, and how long that takes."""
    time = rows().get(name, {}).get("time")
    file = f"{{download}}`{name}.py <../../examples/{name}.py>`"
    took = f", {time} on two cores" if time else ""
    return f"The script is {file}: `python examples/{name}.py`{took}."


def in_cells(name, script):
    """A script with that line below its heading, and links as they are on the site."""
    first, heading, *rest = script.splitlines(keepends=True)
    lines = [first, heading, "#\n", f"# *{how_to_run(name)}*\n", *rest]
    return "".join(
        relinked(line, f"examples/{name}.py", f"gallery/{name}")
        if line.startswith("# ")
        else line
        for line in lines
    )


def as_it_stands(name, script):
    """A page with the words of a script, its picture and its code."""
    _, docstring, code = script.split('"""', 2)
    words = docstring.partition("\n")[2].strip()
    return (
        f"# {title_of(script)}\n\n*{how_to_run(name)}*\n\n{words}\n\n"
        f"![What the script draws]({name}.png)\n\n```py\n{code.strip()}\n```\n"
    )


def picture(name):
    """The picture that is kept beside a script."""
    return EXAMPLES / f"{name}.png"
