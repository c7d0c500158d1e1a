import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from BayesianJaxModels.train import clip_finite_by_global_norm


@pytest.fixture
def update():
    return jax.jit(clip_finite_by_global_norm(2.0).update)


def initial(tree):
    return clip_finite_by_global_norm(2.0).init(tree)


def test_finite_updates_are_those_of_optax(update):
    short = {"a": jnp.array([0.3, -0.4]), "b": (jnp.zeros(()), None)}
    state = initial(short)
    found, state = update(short, state)
    assert jax.tree.all(jax.tree.map(np.array_equal, found, short))
    long = jax.tree.map(lambda leaf: 10 * leaf + 1, short)
    found, state = update(long, state)
    expected, _ = optax.clip_by_global_norm(2.0).update(long, optax.EmptyState())
    for leaf, of_optax in zip(
        jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(leaf, of_optax, rtol=1e-6)
    zero = jax.tree.map(jnp.zeros_like, short)
    assert jax.tree.all(jax.tree.map(np.array_equal, update(zero, state)[0], zero))
    assert state.num_left_out == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_left_out_and_counted(update, bad):
    tree = {"a": jnp.array([1.0, bad]), "b": jnp.ones(3)}
    state = initial(tree)
    for count in (1, 2):
        found, state = update(tree, state)
        assert all(jnp.all(leaf == 0) for leaf in jax.tree.leaves(found))
        assert state.num_left_out == count
    found, state = update({"a": jnp.ones(2), "b": jnp.ones(3)}, state)
    assert optax.tree.norm(found) == pytest.approx(2.0)
    assert state.num_left_out == 2


def test_a_norm_that_overflows_is_clipped(update):
    huge = {"a": jnp.array([3e30, 0.0]), "b": jnp.array(-4e30)}
    found, state = update(huge, initial(huge))
    np.testing.assert_allclose(found["a"], [1.2, 0.0], rtol=1e-6)
    np.testing.assert_allclose(found["b"], -1.6, rtol=1e-6)
    assert state.num_left_out == 0
    # Why it is not left to optax.
    of_optax, _ = optax.clip_by_global_norm(2.0).update(huge, optax.EmptyState())
    assert optax.tree.norm(of_optax) == 0


def test_either_precision(x64, update):
    mixed = {"a": jnp.full(2, 5.0, "float32"), "b": jnp.full(2, 5.0, "float64")}
    found, _ = update(mixed, initial(mixed))
    for name, leaf in found.items():
        assert leaf.dtype == mixed[name].dtype
        np.testing.assert_allclose(leaf, 1.0, rtol=1e-6)


def test_training_goes_on_after_a_failed_step():
    optimiser = optax.chain(clip_finite_by_global_norm(1.0), optax.adam(0.1))

    def step(carry, index):
        theta, state = carry
        # The square root fails below zero, which the first steps reach.
        slope = jnp.where(index % 5 == 0, jnp.sqrt(-1 - theta**2), 2 * theta)
        updates, state = optimiser.update(slope, state)
        return (optax.apply_updates(theta, updates), state), None

    theta = jnp.array(3.0)
    with jax.numpy_dtype_promotion("standard"):
        (theta, state), _ = jax.lax.scan(
            step, (theta, optimiser.init(theta)), jnp.arange(200)
        )
    assert state[0].num_left_out == 40
    assert jnp.abs(theta) < 0.01


def test_errors():
    for max_norm in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="`max_norm` must be positive"):
            clip_finite_by_global_norm(max_norm)
