"""What a solve is given, held to what it needs."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PyTree

from .._parameter.convert import as_float_array, check_values


def check_times(ts: ArrayLike) -> Float[Array, " T"]:
    """The times as an array, strictly monotone."""
    ts = as_float_array(ts, "ts")
    if ts.ndim != 1 or ts.size < 2:
        raise ValueError(
            f"`ts` must be at least two times in one axis, but has shape {ts.shape}. "
            "Its first entry is the time of `y0`."
        )
    steps = jnp.diff(ts)
    monotone = jnp.all(steps > 0) | jnp.all(steps < 0)
    message = (
        "`ts` must be strictly increasing or strictly decreasing, without NaN. Sort "
        "the times and drop those that repeat."
    )
    return check_values(ts, ~monotone, message)


def check_state(y0: PyTree) -> PyTree:
    """The state as arrays of floats."""
    for leaf in jax.tree.leaves(y0):
        dtype = jnp.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(
                f"`y0` must consist of floats, but has a leaf of dtype {dtype}. Write "
                "1.0 for 1, or convert with `jnp.asarray(y0, float)`."
            )
    return jax.tree.map(jnp.asarray, y0)


def check_derivative(
    vector_field: Callable, y0: PyTree, ts: Array, args: Any, batched: bool
) -> None:
    """Hold the derivative to the structure and shapes of the state."""
    if batched:
        sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(y0)}
        if len(sizes) != 1 or () in sizes:
            raise ValueError(
                "With `batched=True` every leaf of `y0` needs a leading axis of one "
                f"size, but their leading axes are {sorted(sizes)}."
            )
    state = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            leaf.shape[1:] if batched else leaf.shape, leaf.dtype
        ),
        y0,
    )
    derivative = eqx.filter_eval_shape(vector_field, ts[0], state, args)
    of_state = jax.tree.map(lambda leaf: leaf.shape, state)
    of_derivative = jax.tree.map(jnp.shape, derivative)
    if of_state != of_derivative:
        raise ValueError(
            f"`vector_field` returns shape {of_derivative} for a state of shape "
            f"{of_state}. They must be equal; for many initial states in `y0` pass "
            "`batched=True`."
        )
