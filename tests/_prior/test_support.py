import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

import BayesianJaxModels as bjm
from BayesianJaxModels._prior import support


def test_ends_that_are_not_in_order_are_named():
    for kind in (bjm.priors.TruncatedNormal, bjm.priors.Uniform):
        with pytest.raises(ValueError, match="`low` must be below `high`"):
            kind(low=1.0, high=0.5)


def test_numbers_that_are_not_finite_are_named():
    for value in (np.nan, -np.inf, np.array([0.0, np.inf])):
        with pytest.raises(ValueError, match=r"`centre` must be finite, but got .*n"):
            support.as_finite("centre", value)
    with pytest.raises(TypeError, match="`centre` must be a real number .* got None"):
        support.as_finite("centre", None)
    kept = support.as_finite("centre", np.array([1, 2]))
    np.testing.assert_array_equal(kept, [1.0, 2.0])
    assert kept.dtype == jnp.float32
    traced = jax.jit(lambda x: support.as_finite("centre", x))(jnp.array(np.nan))
    assert np.isnan(traced)


def test_ends_that_touch_are_named():
    support.check_ends(jnp.array([0.0, -np.inf]), jnp.array([1.0, np.inf]))
    for low, high in [(1.0, 1.0), (np.nan, 1.0), ([0.0, 2.0], [1.0, 1.0])]:
        with pytest.raises(ValueError, match="`low` must be below `high`, but got"):
            support.check_ends(jnp.array(low), jnp.array(high))
    jax.jit(lambda low: support.check_ends(low, low))(jnp.zeros(()))


def test_what_is_guarded_has_no_gradient_where_it_is_impossible():
    def density(x, scale):
        return jnp.sum(support.guarded(x > 0, lambda x, s: jnp.log(x) / s, x, scale))

    x = jnp.array([-1.0, 0.0, 2.0, np.nan, np.inf, 3.0])
    scale = jnp.array([1.0, 1.0, 4.0, 1.0, 1.0, np.nan])
    value = support.guarded(x > 0, lambda x, s: jnp.log(x) / s, x, scale)
    expected = np.full(6, -np.inf)
    expected[2] = np.log(2) / 4
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    of_x, of_scale = jax.grad(density, (0, 1))(x, scale)
    np.testing.assert_allclose(of_x, [0, 0, 1 / 8, 0, 0, 0], rtol=1e-6)
    of_possible = [0, 0, -np.log(2) / 16, 0, 0, 0]
    np.testing.assert_allclose(of_scale, of_possible, rtol=1e-6)


def test_each_formula_sees_only_its_own_size():
    """The slope of a root is infinite at 0, and the other formula is used there."""

    def density(x):
        return support.guarded_by_size(
            x > 1, x >= 0, lambda x: jnp.sqrt(x - 1), lambda x: 2 * x, x
        )

    x = jnp.array([-1.0, 0.0, 1.0, 5.0])
    np.testing.assert_array_equal(density(x), [-np.inf, 0, 2, 2])
    slopes = jax.vmap(jax.grad(density))(x)
    np.testing.assert_array_equal(slopes, [0, 2, 2, 0.25])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_representable_numbers_have_logarithms_and_inverses(dtype, x64):
    info = jnp.finfo(dtype)
    draws = jnp.array([np.inf, info.max, 1.5, 0.0, -0.0, -info.tiny, -np.inf], dtype)
    found = support.representable(draws)
    big, small = info.max / 8, 8 * info.tiny
    expected = np.array([big, big, 1.5, small, -small, -small, -big], dtype)
    np.testing.assert_array_equal(found, expected)
    size = jnp.abs(found)
    assert np.all(np.isfinite(1 / size) & np.isfinite(jnp.log(size)))
    assert np.all(np.isfinite(jnp.exp(jnp.log(size))))
    assert np.isnan(support.representable(jnp.array(np.nan, dtype)))


def test_shares_come_back_from_their_logits(key):
    """Uniform, and apart from both ends by more than a rounding error."""
    found = support.shares(key, jnp.zeros(100_000))
    margin = 2 * jnp.finfo(jnp.float32).eps
    assert margin <= found.min() < 1e-4
    assert 1 - 1e-4 < found.max() <= 1 - margin
    back = jax.nn.sigmoid(jax.scipy.special.logit(found))
    assert np.all((back > 0) & (back < 1))
    statistic = scipy.stats.kstest(np.asarray(found, float), "uniform").statistic
    assert statistic < 1.95 / 100_000**0.5


def test_between_is_strictly_inside_and_follows_the_draw():
    low, high = jnp.array(1.0), jnp.array(2.0)
    draws = jnp.array([0.5, 1.0, 1.25, 2.0, 9.0])
    limits = jnp.broadcast_to(low, draws.shape), jnp.broadcast_to(high, draws.shape)
    found = support.between(draws, *limits)
    first, last = np.nextafter(np.float32([1, 2]), np.float32([2, 1]))
    np.testing.assert_array_equal(found, [first, first, 1.25, last, last])
    slope = jax.grad(support.between, (0, 1, 2))(jnp.array(1.25), low, high)
    assert slope == (1, 0, 0)


def test_log_of_one_plus_a_square_never_overflows(x64):
    z = np.array([0.0, 1e-200, 1e-9, -0.5, 3.0, 9e8, 1.1e9, -1e200])
    near = np.clip(z, -1, 1)
    found = support.log_one_plus_square(jnp.asarray(z))
    expected = np.where(np.abs(z) > 1, 2 * np.log(np.hypot(1, z)), np.log1p(near**2))
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    slopes = jax.vmap(jax.grad(support.log_one_plus_square))(jnp.asarray(z))
    expected = 2 * z / np.hypot(1, z) / np.hypot(1, z)
    np.testing.assert_allclose(slopes, expected, rtol=1e-13)


def test_an_end_counts_only_for_a_concentration_of_one():
    distance = jnp.array([0.0, 0.0, 0.0, 1e-30, -1e-30])
    concentration = jnp.array([0.5, 1.0, 2.0, 0.5, 1.0])
    found = support.has_end(distance, concentration)
    np.testing.assert_array_equal(found, [False, True, False, True, False])


def test_a_power_of_nothing_is_one_without_a_slope():
    def log_power(x, exponent):
        return support.log_power(x, exponent)

    x, exponent = jnp.array([0.0, 2.0]), jnp.array([3.0, 0.5])
    np.testing.assert_allclose(log_power(x, exponent), [0, np.log(2) / 2], rtol=1e-6)
    slopes = jax.grad(lambda *args: jnp.sum(log_power(*args)), (0, 1))(x, exponent)
    np.testing.assert_allclose(slopes, [[0, 0.25], [0, np.log(2)]], rtol=1e-6)
    of_rest = support.log_power(jnp.ones(2), exponent, lambda x: jnp.log1p(-x), zero=1)
    np.testing.assert_array_equal(of_rest, 0)
