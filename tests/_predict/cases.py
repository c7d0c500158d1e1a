"""Trajectories of draws: made by hand, and how some are solved for."""

from dataclasses import replace

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from diffrax import RESULTS

from BayesianJaxModels._dynamics.event import End
from BayesianJaxModels._dynamics.trajectory import Trajectory

TS = jnp.linspace(0.0, 1.0, 3)
# Quick to compile, with steps of its own for each draw.
HEUN = {"solver": diffrax.Heun(), "adjoint": diffrax.ForwardMode()}


def make(ys, failed=None, ended=None, ts=None):
    """A trajectory of draws; `failed` has its batch shape, which `ended` shares."""
    ys = jax.tree.map(jnp.asarray, ys)
    leaf = jax.tree.leaves(ys)[0]
    failed = np.zeros(leaf.shape[:1], bool) if failed is None else np.asarray(failed)
    ended = np.zeros(failed.shape, bool) if ended is None else np.asarray(ended)

    def one(failed, ended):
        good = RESULTS.where(ended, RESULTS.event_occurred, RESULTS.successful)
        return RESULTS.where(failed, RESULTS.max_steps_reached, good)

    for _ in range(failed.ndim):
        one = jax.vmap(one)
    if ts is None:
        ts = jnp.arange(leaf.shape[failed.ndim], dtype=jnp.float32)
    result = one(jnp.asarray(failed), jnp.asarray(ended))
    finite = [
        np.isfinite(leaf).all(axis=tuple(range(failed.ndim + 1, leaf.ndim)))
        for leaf in jax.tree.leaves(ys)
    ]
    start = jnp.zeros(failed.shape)
    end = End(start, start, jnp.asarray(ended), jnp.asarray(np.all(finite, axis=0)))
    num_steps = jnp.ones(failed.shape, int)
    return Trajectory(ts, ys, result, num_steps, None, end if ended.any() else None)


def take(trajectory, part):
    arrays = (trajectory.ys, trajectory.result, trajectory.num_steps, trajectory.end)
    ys, result, num_steps, end = jax.tree.map(lambda leaf: leaf[part], arrays)
    return Trajectory(trajectory.ts, ys, result, num_steps, None, end)


def assert_same(actual, desired, **tolerance):
    assert jax.tree.structure(actual) == jax.tree.structure(desired)
    jax.tree.map(
        lambda left, right: np.testing.assert_allclose(left, right, **tolerance),
        actual,
        desired,
    )


def with_weights(trajectory, weights):
    return replace(trajectory, weights=jnp.asarray(weights))
