"""What a solve is given, held to what it needs."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float, PyTree

from .._parameter.convert import as_float_array, check_values


def check_times(
    ts: ArrayLike, mask: ArrayLike | None = None, *, rows: bool = False
) -> Float[Array, "..."]:
    """The times as an array, strictly monotone.

    Args:
        ts: Of shape `(T,)`; or `(N, T)` if `rows`, one row for each initial state.
        mask: Which times count, in the shape of `ts`. Those that do not are filled with
            the last time before them that does.
        rows: Whether `ts` may have rows.
    """
    times = as_float_array(ts, "ts")
    if times.ndim not in ((1, 2) if rows else (1,)) or times.shape[-1] < 2:
        raise ValueError(
            "`ts` must be at least two times in one axis, but has shape "
            f"{times.shape}. Its first entry is the time of `y0`. With `batched=True`, "
            "and steps that are not shared, it may have a row for each initial state."
        )
    counts = jnp.ones(times.shape, bool) if mask is None else jnp.asarray(mask)
    if counts.shape != times.shape or counts.dtype != bool:
        raise ValueError(
            f"`mask` must be boolean in the shape of `ts`, {times.shape}, but has "
            f"dtype {counts.dtype} and shape {counts.shape}."
        )
    times, too_few, not_monotone = _fill(times, counts)
    message = (
        "`mask` must keep the first time, which is that of `y0`, and at least one more."
    )
    times = check_values(times, too_few, message)
    message = (
        "`ts` must be strictly increasing or strictly decreasing, without NaN. Sort "
        "the times and drop those that repeat; leave padding out with `mask`."
    )
    return check_values(times, not_monotone, message)


@jax.jit
def _fill(ts: Array, counts: Array) -> tuple[Array, Array, Array]:
    """The times with those that do not count filled, and two faults they may have."""
    places = jnp.where(counts, jnp.arange(ts.shape[-1]), 0)
    latest = lax.cummax(places, axis=ts.ndim - 1)
    ts = jnp.take_along_axis(ts, latest, axis=-1)
    too_few = ~counts[..., 0] | (jnp.sum(counts, axis=-1) < 2)
    steps, skipped = jnp.diff(ts), ~counts[..., 1:]
    forwards = jnp.all((steps > 0) | skipped, axis=-1)
    backwards = jnp.all((steps < 0) | skipped, axis=-1)
    finite = jnp.all(jnp.isfinite(ts), axis=-1)
    not_monotone = ~((forwards | backwards) & finite)
    return ts, jnp.any(too_few), jnp.any(not_monotone)


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
        arrays = [*jax.tree.leaves(y0), *([ts] if ts.ndim > 1 else [])]
        sizes = {jnp.shape(leaf)[:1] for leaf in arrays}
        if len(sizes) != 1 or () in sizes:
            raise ValueError(
                "With `batched=True` every leaf of `y0` needs a leading axis of one "
                "size, and `ts` the same if it has rows, but their leading axes are "
                f"{sorted(sizes)}."
            )
    state = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            leaf.shape[1:] if batched else leaf.shape, leaf.dtype
        ),
        y0,
    )
    derivative = eqx.filter_eval_shape(vector_field, ts.ravel()[0], state, args)
    of_state = jax.tree.map(lambda leaf: leaf.shape, state)
    of_derivative = jax.tree.map(jnp.shape, derivative)
    if of_state != of_derivative:
        raise ValueError(
            f"`vector_field` returns shape {of_derivative} for a state of shape "
            f"{of_state}. They must be equal; for many initial states in `y0` pass "
            "`batched=True`."
        )
