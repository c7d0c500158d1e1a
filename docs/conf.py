"""The documentation: `sphinx-build -W docs build/html`.

Pages are Markdown. What they take from the rest of the repository, and how docstrings
are read, is in `_ext`. Scripts and code cells are run, and what they give is kept in
`build/docs_cache` until they or the package change. `-D nb_execution_mode=off` runs
nothing, and `GALLERY="lynx_hare pendulum"` only these of the gallery.
"""

import hashlib
import os
import re
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(DOCS / "_ext"), str(ROOT / "src")]
# Kernels run in temporary folders, from where scripts import what they share, and see
# the package of this checkout.
PATHS = [str(ROOT / "examples"), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, PATHS))

project = "BayesianJaxModels"
author = "The BayesianJaxModels developers"
copyright = f"{author}, MIT licence"  # noqa: A001
version_file = ROOT / "src" / "BayesianJaxModels" / "_version.py"
version = release = re.findall(r'"(.+)"', version_file.read_text())[-1]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_codeautolink",
    "sphinx_copybutton",
    "sphinx_design",
    "docstrings",
    "gallery",
    "names",
    "repository",
    "signatures",
]
exclude_patterns = ["conf.py", "_ext/*"]

# Text.
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
suppress_warnings = ["myst.header"]  # parts of other files begin at their own level

# What is run.
nb_custom_formats = {".py": ["gallery.read", {}]}
nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 900
nb_merge_streams = True
# Results hang on the package and the data too, not on the cells alone.
results_of = hashlib.sha256()
for path in sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("examples/data/*")]):
    results_of.update(path.read_bytes())
results_of.update((ROOT / "examples" / "common.py").read_bytes())
nb_execution_cache_path = str(
    ROOT / "build" / "docs_cache" / results_of.hexdigest()[:12]
)

# The reference.
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "special-members": "__call__",
}
autodoc_inherit_docstrings = False
maximum_signature_line_length = 70
napoleon_attr_annotations = False  # signatures have them
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True

# Names in code lead to the reference. Examples in docstrings leave the imports out.
codeautolink_concat_default = True
codeautolink_global_preface = """
import jax
import jax.numpy as jnp
import BayesianJaxModels as bjm
from BayesianJaxModels import plot
"""

# The site.
html_theme = "pydata_sphinx_theme"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = dict.fromkeys(
    ["quick_start", "how_it_works", "contributing", "changelog"], []
)
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "secondary_sidebar_items": ["page-toc"],
}
copybutton_exclude = ".linenos, .gp, .go"


def setup(app):
    """Read all pages again when `_ext` has changed; list no methods beside a page."""
    own = [path.read_bytes() for path in sorted((DOCS / "_ext").glob("*.py"))]
    digest = hashlib.sha256(b"".join(own)).hexdigest()
    app.add_config_value("extensions_of_ours", digest, "env", str)
    app.connect("html-page-context", set_levels)


def set_levels(app, page, template, context, doctree):
    """How much of a page's contents is listed before a reader is there."""
    context["theme_show_toc_level"] = 1 if page.startswith("reference/") else 2
