"""The moves of one chain."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels._infer._nuts.chain import (
    NOWHERE,
    PLACING,
    SAMPLING,
    Whitened,
    _turn,
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


class Pair(bjm.Module):
    x: bjm.AbstractParameter


def bowl(drawn):
    """A parabola to the right of zero, without a gradient at 3, and nowhere else."""
    x, y = drawn.x.mean
    kink = jnp.sqrt(jnp.abs(x - 3)) * 0
    return jnp.where(x > 0, -(x**2) / 2 - 2 * y**2 + x * y + kink, jnp.nan)


MEAN, FACTOR = np.array([1.0, -1.0]), np.array([[2.0, 0.0], [0.5, 0.1]])


def test_coordinates_are_those_of_the_factor_and_gradients_theirs(x64):
    density = FlatDensity(bowl, Pair(bjm.make_parameter(jnp.zeros(2))))
    whitened = Whitened(density, jnp.asarray(MEAN), jnp.asarray(FACTOR))
    z = np.array([0.3, -0.7])
    x, y = MEAN + FACTOR @ z
    value, gradient = jax.value_and_grad(whitened)(jnp.asarray(z))
    np.testing.assert_allclose(whitened.vector(jnp.asarray(z)), [x, y], rtol=1e-15)
    np.testing.assert_allclose(value, -(x**2) / 2 - 2 * y**2 + x * y, rtol=1e-14)
    by_entry = np.array([y - x, x - 4 * y])
    np.testing.assert_allclose(gradient, FACTOR.T @ by_entry, rtol=1e-13)


@pytest.mark.parametrize("x", [-2.0, 3.0], ids=["no value", "no gradient"])
def test_what_is_not_finite_is_nowhere_and_has_no_slope(x):
    density = FlatDensity(bowl, Pair(bjm.make_parameter(jnp.zeros(2))))
    whitened = Whitened(density, jnp.array([x, 0.0]), jnp.eye(2))
    value, gradient = jax.value_and_grad(whitened)(jnp.zeros(2))
    assert value == -np.inf
    np.testing.assert_array_equal(gradient, [0, 0])


@pytest.mark.parametrize("num_draws", [1, 5, 100_000])
def test_turned_coordinates_hold_the_same_place(num_draws, x64):
    """The covariance so far counts as one draw for each entry."""
    z, gradient = np.array([0.3, -0.7]), np.array([1.0, 2.0])
    state = nowhere(np.eye(2)).position
    state = type(state)(*map(jnp.asarray, (z, -3.0, gradient)))
    covariance = np.array([[4.0, 1.0], [1.0, 0.5]])
    arrays = jnp.asarray(FACTOR), jnp.asarray(covariance), jnp.asarray(num_draws)
    turned, factor = _turn(state, *arrays)
    np.testing.assert_allclose(factor @ turned.position, FACTOR @ z, rtol=1e-13)
    np.testing.assert_array_equal(turned.logdensity, -3.0)
    # A gradient by the entries, whatever the coordinates.
    by_entry = np.linalg.solve(FACTOR.T, gradient)
    np.testing.assert_allclose(
        turned.logdensity_grad, np.asarray(factor).T @ by_entry, rtol=1e-12
    )
    mixed = (num_draws * covariance + 2 * np.eye(2)) / (num_draws + 2)
    exact = FACTOR @ mixed @ FACTOR.T
    np.testing.assert_allclose(factor @ factor.T, exact, rtol=1e-13)


def test_widths_alone_turn_as_their_matrix_does(x64):
    z, gradient = np.array([0.3, -0.7]), np.array([1.0, 2.0])
    state = nowhere(np.eye(2)).position
    state = type(state)(*map(jnp.asarray, (z, -3.0, gradient)))
    arrays = jnp.asarray(FACTOR), jnp.array([4.0, 0.5]), jnp.asarray(20)
    turned, factor = _turn(state, *arrays)
    scale = np.sqrt((20 * np.array([4.0, 0.5]) + 5) / 25)
    np.testing.assert_allclose(factor, FACTOR * scale, rtol=1e-14)
    np.testing.assert_allclose(turned.position, z / scale, rtol=1e-14)
    np.testing.assert_allclose(turned.logdensity_grad, gradient * scale, rtol=1e-14)


def test_a_covariance_without_a_root_turns_nothing(x64):
    state = nowhere(np.eye(2)).position
    state = type(state)(*map(jnp.asarray, (np.ones(2), -3.0, np.ones(2))))
    wrong = jnp.array([[1.0, jnp.nan], [jnp.nan, 1.0]])
    turned, factor = _turn(state, jnp.asarray(FACTOR), wrong, jnp.asarray(20))
    np.testing.assert_array_equal(factor, FACTOR)
    np.testing.assert_array_equal(turned.position, [1, 1])


@pytest.mark.parametrize(("d", "axes"), [(100, 2), (101, 1)])
def test_up_to_a_hundred_entries_a_chain_learns_correlations(d, axes):
    chain = nowhere(np.eye(d, dtype=np.float32))
    assert chain.covariance.m2.shape == (d,) * axes
    assert chain.position.logdensity == np.float32(NOWHERE)
    floats = [leaf for leaf in jax.tree.leaves(chain) if leaf.dtype != np.int32]
    assert {leaf.dtype for leaf in floats} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(chain.position.position, np.zeros(d))
