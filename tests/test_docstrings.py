"""The examples of docstrings that stand on their own run."""

import inspect
import re

import jax
import jax.numpy as jnp
import optax
import pytest

import BayesianJaxModels as bjm

ALONE = (
    "clip_finite_by_global_norm",
    "continuity_gaps",
    "growing_horizon",
    "shooting_segments",
)


@pytest.mark.parametrize("name", ALONE)
def test_example_runs(name):
    docstring = inspect.getdoc(getattr(bjm, name))
    [block] = re.findall(r"```python\n(.*?)```", docstring, flags=re.DOTALL)
    names = {"jax": jax, "jnp": jnp, "optax": optax} | vars(bjm)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes
        exec(compile(inspect.cleandoc(block), name, "exec"), names)
