"""The documentation: its blocks run, it names everything, and facts agree."""

import ast
import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import Array, Float, PRNGKeyArray

import BayesianJaxModels as bjm
from BayesianJaxModels import plot

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
# Those of `gallery` are made from the examples when the documentation is built.
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if path.parent.name != "gallery"
)
# What runs is marked `python`. Code of other packages and languages is marked `py`,
# `stan`, `julia` or `bash`, and does not.
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```$", flags=re.MULTILINE | re.DOTALL)
BLOCKS = {
    page: [dedent(code) for _, code in BLOCK.findall((DOCS / page).read_text())]
    for page in PAGES
}


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCKS[page]])
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Readers have JAX's default promotion, and optax needs it.
    with jax.numpy_dtype_promotion("standard"):
        namespace = {}
        for number, block in enumerate(BLOCKS[page]):
            exec(compile(block, f"{page}, block {number}", "exec"), namespace)


def test_every_page_is_in_a_toctree():
    """So that readers find it; Sphinx warns as well, but the tests do not build."""
    entries = []
    for page in PAGES:
        trees = re.findall(
            r"^```\{toctree\}\n(.*?)^```$",
            (DOCS / page).read_text(),
            flags=re.MULTILINE | re.DOTALL,
        )
        lines = [line for tree in trees for line in tree.splitlines()]
        names = [line for line in lines if line and not line.startswith(":")]
        entries += [(Path(page).parent / f"{name}.md").as_posix() for name in names]
    assert sorted(entries) == sorted({*PAGES} - {"index.md"})


def test_the_build_is_strict():
    """The command fails at a warning, a failing cell and a link that leads nowhere."""
    command = 'pip install ".[docs]" && sphinx-build -W docs build/html'
    assert command in (ROOT / "README.md").read_text()
    assert "readme_command 'sphinx-build -W'" in (ROOT / ".ci" / "run").read_text()
    config = (DOCS / "conf.py").read_text()
    assert "nb_execution_raise_on_error = True" in config
    # Nothing else is let pass, and nothing is fetched from elsewhere.
    assert re.findall(r"suppress_warnings = (.*)", config) == [
        '["myst.header"]  # parts of other files begin at their own level'
    ]
    assert "intersphinx" not in config


def test_the_reference_names_every_public_name_once():
    public = public_names(bjm)
    for module in (plot, bjm.priors, bjm.likelihoods, bjm.train, bjm.calibration):
        prefix = module.__name__.removeprefix("BayesianJaxModels.")
        public += [f"{prefix}.{name}" for name in public_names(module)]
    pages = "".join((DOCS / page).read_text() for page in PAGES)
    named = re.findall(
        r"^\.\. auto(?:class|function):: BayesianJaxModels\.(\S+)$",
        pages,
        flags=re.MULTILINE,
    )
    assert sorted(named) == sorted(public)


def test_docstrings_become_rst(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    docstrings = importlib.import_module("docstrings")
    text = """Of `a` and
    `b
    c`, ``d` ``, and `Module`s.

    Example:
        ```python
        x = {}

        y = "`z`"
        ```
    """
    lines = docstrings.as_rst(inspect.cleandoc(text).split("\n"))
    assert "\n".join(lines).strip() == inspect.cleandoc(
        r"""Of ``a`` and
        ``b c``, ``d```, and ``Module``\ s.

        Example:
            .. code-block:: python

                x = {}

                y = "`z`"
        """
    )


def test_signatures_are_those_of_the_source(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    signatures = importlib.import_module("signatures")

    class Layer:
        def __init__(self, size: int, *, act: Callable = jnp.tanh, key: PRNGKeyArray):
            pass

        def __call__(self, x: Float[Array, " n"]) -> Float[Array, ""]:
            return x[0]

    def shown(what, thing):
        return signatures.process(None, what, "name", thing, None, "()", None)

    wanted = "(size: int, *, act: Callable=jnp.tanh, key: PRNGKeyArray)"
    assert shown("class", Layer) == (wanted, None)
    wanted = "(x: Float[Array, 'n'])"
    assert shown("method", Layer.__call__) == (wanted, "Float[Array, '']")


def public_names(module):
    """What users call: not modules, nor what a module of the package needs itself."""
    members = inspect.getmembers(module, inspect.isroutine)
    members += inspect.getmembers(module, inspect.isclass)
    own = [(name, thing) for name, thing in members if not name.startswith("_")]
    return [name for name, thing in own if thing.__module__.startswith(bjm.__name__)]


def test_messages_are_those_of_the_source():
    """A message in the table of the troubleshooting page is one that users can see."""
    table = (DOCS / "troubleshooting.md").read_text().split("## Messages")[1]
    messages = re.findall(r"^\| (`+) ?(.+?) ?\1 \|", table, flags=re.MULTILINE)
    assert len(messages) > 10
    texts = [
        text for path in sorted(ROOT.glob("src/**/*.py")) for text in strings(path)
    ]
    missing = [m for _, m in messages if not any(m in text for text in texts)]
    assert missing == []


def strings(path):
    """The strings of a file, with a blank where a value is put in."""
    for node in ast.walk(ast.parse(path.read_text())):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        if all(isinstance(part, ast.Constant | ast.FormattedValue) for part in parts):
            constants = [part for part in parts if isinstance(part, ast.Constant)]
            yield "".join(str(constant.value) for constant in constants)


def test_the_citation_is_that_of_this_version():
    citation = (ROOT / "CITATION.cff").read_text()
    facts = dict(re.findall(r"^([\w-]+): (.+)$", citation, flags=re.MULTILINE))
    assert facts["version"] == bjm.__version__
    # The README says the same in BibTeX.
    bibtex = (ROOT / "README.md").read_text().split("```bibtex")[1]
    for fact in (facts["title"].strip('"'), facts["license"]):
        assert f"{{{fact}}}" in bibtex
    [author] = re.findall(r"^  - name: (.+)$", citation, flags=re.MULTILINE)
    assert f"{{{author}}}" in bibtex


def test_the_changelog_has_this_version_first():
    headings = re.findall(
        r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert headings[0] == bjm.__version__
