"""Examples run as a reader's would: as scripts, with JAX's own settings."""

import runpy
import sys
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture(autouse=True)
def readers_settings():
    """JAX's default promotion, and double precision only for who asks for it."""
    with jax.numpy_dtype_promotion("standard"):
        yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture(scope="module")
def run_small(tmp_path_factory):
    """Run an example as `python examples/NAME.py --small` does; returns its names.

    So that a test sees what a reader of its notebook would. They run in a folder of
    their own, where their picture has to be.
    """

    def run(name):
        folder = tmp_path_factory.mktemp(name)
        with pytest.MonkeyPatch.context() as patch, plt.rc_context():
            patch.chdir(folder)
            patch.syspath_prepend(EXAMPLES)
            patch.setattr(sys, "argv", [f"{name}.py", "--small"])
            try:
                with jax.numpy_dtype_promotion("standard"):
                    names = runpy.run_path(str(EXAMPLES / f"{name}.py"))
            finally:
                plt.close("all")
                jax.config.update("jax_enable_x64", False)
        assert (folder / f"{name}.png").stat().st_size > 10_000
        return names

    return run
