"""What the documentation takes from the rest of the repository.

So each fact is written once: a page includes sections of the README by a line such as
`<!-- include: README.md#Start -->`, the gallery is `examples/README.md` itself, and
what these lead to, scripts and pictures, comes along.
"""

import logging
import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
LOG = logging.getLogger("mkdocs.hooks")
# Pages that are files of the repository, under the same name.
MIRRORED = ("examples/README.md", "benchmarks/README.md")
# Files of the repository that are here under another name.
RENAMED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
INCLUDE = re.compile(r"^<!-- include: (\S+?\.md)(?:#(.+?))? -->$", re.MULTILINE)
# Code first, in which nothing is a link.
LINK = re.compile(
    r"^```.*?^```|`[^`\n]+`|\]\((?!https?:|#)([^)\s#]+)", re.MULTILINE | re.DOTALL
)
# What is no running text first.
NAME = re.compile(
    r"<(?:pre|a|h[1-6])\b.*?</(?:pre|a|h[1-6])>|<code>(?:bjm\.)?([\w.]+)</code>",
    re.DOTALL,
)
REFERENCE = re.compile(r"^::: (BayesianJaxModels\.([\w.]+))$", re.MULTILINE)
NAMES = {
    name: identifier
    for page in (ROOT / "docs" / "reference").glob("*.md")
    for identifier, name in REFERENCE.findall(page.read_text())
}
# By their last word too, but for those of `plot`, which are verbs.
NAMES |= {
    name.rpartition(".")[2]: identifier
    for name, identifier in NAMES.items()
    if not name.startswith("plot.")
}
ELSEWHERE = re.compile(r"<(?:script|link|img)\b[^>]*(?:src|href)=\"?https?:[^>]*>")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the mirrored pages, and what pages lead to in the repository."""
    texts = [(name, (ROOT / name).read_text()) for name in MIRRORED]
    for name, text in texts:
        page = relinked(text, name, name)
        files.append(File.generated(config, name, content=page))
    for page in files.documentation_pages():
        asked = INCLUDE.findall(page.content_string)
        texts += [(name, section_of(name, title)) for name, title in asked]
    for name, text in texts:
        for source in links_of(text, name):
            place, path = place_of(source), ROOT / source
            if place in files.src_uris or not path.is_file():
                continue
            if path.suffix == ".py":
                page = f"# {path.name}\n\n```py\n{path.read_text()}```\n"
                files.append(File.generated(config, place, content=page))
            else:
                files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Put sections of the repository's files where a page asks for them."""

    def text_of(match: re.Match[str]) -> str:
        name, title = match.groups()
        return relinked(section_of(name, title), name, page.file.src_uri)

    return INCLUDE.sub(text_of, markdown)


def on_page_content(html: str, **_: object) -> str:
    """Lead from each public name in the text to its place in the reference."""

    def lead(match: re.Match[str]) -> str:
        if not match[1] or match[1] not in NAMES:
            return match[0]
        # Solved, or left as it is on its own page, by the plugin autorefs.
        return f'<autoref identifier="{NAMES[match[1]]}">{match[0]}</autoref>'

    return NAME.sub(lead, html)


def on_post_page(output: str, *, page: Page, **_: object) -> str:
    """Warn of what a reader without a network would miss."""
    for tag in ELSEWHERE.findall(output):
        LOG.warning("%s loads from elsewhere: %s", page.file.src_uri, tag)
    return output


def section_of(name: str, title: str | None) -> str:
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


def links_of(text: str, name: str) -> list[str]:
    """The files of the repository that a text leads to, which stands in a file."""
    found = [match[1] for match in LINK.finditer(text) if match[1]]
    return [normpath(join(dirname(name), target)) for target in found]


def relinked(text: str, name: str, page: str) -> str:
    """The text of a file with its links as they have to be on a page of the site."""

    def relink(match: re.Match[str]) -> str:
        if not match[1]:
            return match[0]
        place = place_of(normpath(join(dirname(name), match[1])))
        return "](" + relpath(place, dirname(page) or ".")

    return LINK.sub(relink, text)


def place_of(source: str) -> str:
    """Where a file of the repository is on the site; scripts are pages."""
    if source.endswith(".py"):
        return source.removesuffix(".py") + ".md"
    return RENAMED.get(source, source.removeprefix("docs/"))
