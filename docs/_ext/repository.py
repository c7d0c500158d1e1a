"""What pages take from the rest of the repository.

So each fact is written once: a page includes a file, or a section of one, by a line
such as `<!-- include: README.md#Start -->`, and links lead to where things are here.
"""

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from sphinx.util import logging

ROOT = Path(__file__).resolve().parents[2]
LOG = logging.getLogger(__name__)
# Files of the repository that are pages here, under another name.
RENAMED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/README.md": "gallery.md",
}
# How a script that is a notebook begins.
IN_CELLS = "# %% [markdown]\n"
INCLUDE = re.compile(r"^<!-- include: (\S+?\.md)(?:#(.+?))? -->$", re.MULTILINE)
# Code first, in which nothing is a link.
LINK = re.compile(
    r"^```.*?^```|`[^`\n]+`|\]\((?!https?:|#)([^)\s#]+)", re.MULTILINE | re.DOTALL
)
ELSEWHERE = re.compile(r"<(?:script|link|img)\b[^>]*(?:src|href)=\"?https?:[^>]*>")


def setup(app):
    """Register with Sphinx."""
    app.connect("source-read", include)
    app.connect("build-finished", warn_of_what_loads_from_elsewhere)
    return {"parallel_read_safe": True}


def include(app, page, source):
    """Put sections of the repository's files where a page asks for them."""

    def text_of(match):
        name, title = match.groups()
        app.env.note_dependency(str(ROOT / name))
        return relinked(section_of(name, title), name, page)

    source[0] = INCLUDE.sub(text_of, source[0])


def warn_of_what_loads_from_elsewhere(app, exception):
    """Warn of what a reader without a network would miss."""
    if exception is None and app.builder.format == "html":
        for path in sorted(Path(app.outdir).rglob("*.html")):
            for tag in ELSEWHERE.findall(path.read_text()):
                LOG.warning("%s loads from elsewhere: %s", path.name, tag)


def section_of(name, title):
    """What stands between a heading of a file and the next one.

    Raises:
        ValueError: If there is no such heading.
    """
    text = (ROOT / name).read_text()
    if not title:
        return text
    found, inside, in_code = [], False, False
    for line in text.splitlines():
        in_code ^= line.startswith("```")
        if not in_code and line.startswith("#"):
            inside = line.lstrip("#") == f" {title}"
            if inside:
                found.append("")
        elif inside:
            found.append(line)
    if not found:
        raise ValueError(f"{name} has no section {title!r}.")
    return "\n".join(found).strip()


def relinked(text, name, page):
    """The text of a file with its links as they have to be on a page of the site."""

    def relink(match):
        if not match[1]:
            return match[0]
        place = place_of(normpath(join(dirname(name), match[1])))
        return "](" + relpath(place, dirname(page) or ".")

    return LINK.sub(relink, text)


def place_of(source):
    """Where a file of the repository is, as seen from the folder of the pages."""
    folder, _, script = source.rpartition("/")
    if folder == "examples" and script.endswith(".py") and script != "common.py":
        is_notebook = (ROOT / source).read_text().startswith(IN_CELLS)
        return f"gallery/{script}" if is_notebook else f"gallery/{script[:-3]}.md"
    if source in RENAMED:
        return RENAMED[source]
    return (
        source.removeprefix("docs/") if source.startswith("docs/") else f"../{source}"
    )
