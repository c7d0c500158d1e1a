"""Plain arrays of draws, read as trajectories."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from diffrax import RESULTS
from jaxtyping import PyTree

from .._check import is_array
from .._dynamics import Trajectory

KINDS = (dict, list, tuple)


def as_trajectory(draws: Any, ts: Any = None, weights: Any = None) -> Trajectory:
    """Arrays of draws of shape `(num_draws, *batch, T, ...)` as draws of a trajectory.

    A draw that is not finite somewhere failed.

    Args:
        draws: A `Trajectory`, which is returned as it is; an array, or several of them
            in a dictionary, list or tuple, that have the same draws and times.
        ts: The times of arrays, `(*batch, T)`; without a batch and counted from 0 if
            `None`.
        weights: The weights of arrays.

    Raises:
        TypeError: If there are no arrays of draws.
        ValueError: If shapes do not fit, or times are given of a `Trajectory`.
    """
    if isinstance(draws, Trajectory):
        if ts is not None:
            raise ValueError(
                "`ts` is for plain arrays of draws: a `Trajectory` has its own times."
            )
        return draws
    leaves = jax.tree.leaves(draws)
    is_of_arrays = is_array(draws) or isinstance(draws, KINDS)
    if not (is_of_arrays and leaves and all(is_array(leaf) for leaf in leaves)):
        raise TypeError(
            "`trajectory` must be a `Trajectory`, a `Prediction` or an array of draws "
            f"of shape (num_draws, T, ...), but is a {type(draws).__name__}."
        )
    shapes = [np.shape(leaf) for leaf in leaves]
    same = {shape[:2] for shape in shapes}
    if len(same) > 1 or len(shapes[0]) < 2 or 0 in shapes[0][:2]:
        raise ValueError(
            "An array of draws must have shape (num_draws, T, ...), with at least one "
            "of both, and several arrays must have the same draws and times, but the "
            f"shapes are {shapes}."
        )
    num_draws, num_times = shapes[0][:2]
    ts = np.arange(num_times, dtype=float) if ts is None else np.asarray(ts, float)
    if ts.ndim == 0 or any(shape[1 : ts.ndim + 1] != ts.shape for shape in shapes):
        raise ValueError(
            f"`ts` has shape {ts.shape}, but the draws have shapes {shapes}, with "
            f"{num_times} times in their second axis."
        )
    batch = (num_draws, *ts.shape[:-1])
    if ts.ndim > 1:
        ts = np.broadcast_to(ts, (num_draws, *ts.shape))
    result = jax.tree.map(
        lambda code: jnp.broadcast_to(code, batch), RESULTS.successful
    )
    num_steps = jnp.zeros(batch, int)
    return Trajectory(ts, jax.tree.map(_floats, draws), result, num_steps, weights)


def _floats(leaf: PyTree) -> PyTree:
    is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
    return leaf if is_float else np.asarray(leaf, float)
