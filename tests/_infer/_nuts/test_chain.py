"""The moves of one chain."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels._infer._nuts.chain import (
    NOWHERE,
    PLACING,
    SAMPLING,
    advance,
    nowhere,
)
from BayesianJaxModels._infer.density import FlatDensity
from tests._infer._nuts.cases import GAUSSIAN, LOG_GAMMA, NEVER, D, start, target


def test_a_model_keeps_its_precision_where_another_is_the_default(x64, key):
    chain = nowhere(np.eye(D))
    plan, numbers = np.zeros((2, 3), np.int32), (np.int32(0), np.int32(2), 0.8)
    arguments = jnp.zeros(D), chain, key, plan, *map(jnp.asarray, numbers), 10
    density = FlatDensity(target(GAUSSIAN), start())
    after, moves = eqx.filter_eval_shape(advance, density, *arguments)
    assert moves.draw.dtype == jnp.float32
    for one, other in zip(*map(jax.tree.leaves, (chain, after)), strict=True):
        assert one.dtype == other.dtype


def test_a_chain_is_put_where_the_density_is_finite(key):
    density = FlatDensity(target(LOG_GAMMA), start())
    factor = np.diag(np.arange(1.0, D + 1, dtype=np.float32))
    origin = jnp.linspace(-1.0, 1.0, D)

    def go(density, chain, purpose, first, count):
        plan = np.tile(np.asarray([purpose, 0, 0], np.int32), (100, 1))
        numbers = jnp.int32(first), jnp.int32(count), jnp.float32(0.8)
        return advance(density, origin, chain, key, plan, *numbers, 10)

    chain, moves = go(density, nowhere(factor), PLACING, 0, 1)
    assert moves.num_gradients[0] == 1
    np.testing.assert_array_equal(moves.draw[0], origin)
    value, gradient = density.value_and_gradient(origin)
    assert float(chain.position.logdensity) == pytest.approx(float(value), rel=1e-5)
    by_z = chain.position.logdensity_grad
    np.testing.assert_allclose(by_z, factor @ gradient, rtol=1e-4, atol=1e-4)
    # With steps so short no trajectory turns round.
    short = eqx.tree_at(lambda c: c.step_size, chain, jnp.float32(1e-4))
    moves = go(density, short, SAMPLING, 1, 2)[1]
    assert np.all(moves.saturated[:2])
    assert np.all(np.asarray(moves.num_gradients[:2]) == 1_023)
    moves = go(density, chain, SAMPLING, 1, 100)[1]
    assert not np.any(moves.saturated)
    never = eqx.tree_at(lambda d: d.log_density.kind, density, jnp.int32(NEVER))
    chain, moves = go(never, nowhere(factor), PLACING, 0, 1)
    assert chain.position.logdensity == np.float32(NOWHERE)
    assert moves.failed[0]
