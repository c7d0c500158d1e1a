"""The README's blocks run as they stand, one after the other, as a reader would."""

import inspect
import re
from pathlib import Path

import jax

import BayesianJaxModels as bjm

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Readers have JAX's default promotion, and optax needs it.
    with jax.numpy_dtype_promotion("standard"):
        namespace = {}
        for number, block in enumerate(BLOCKS):
            exec(compile(block, f"README.md, block {number}", "exec"), namespace)


def test_the_tables_name_every_public_name():
    everything = inspect.getmembers(bjm, lambda thing: not inspect.ismodule(thing))
    public = {name for name, _ in everything if not name.startswith("_")}
    in_tables = set(re.findall(r"^\| `(\w+)", README, flags=re.MULTILINE))
    assert in_tables == public
    assert len(BLOCKS) >= 8


def test_links_lead_somewhere():
    root = Path(__file__).parent.parent
    text = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert links
    assert [link for link in links if not (root / link).exists()] == []
