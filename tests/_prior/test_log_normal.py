import jax
import jax.numpy as jnp
import numpy as np

import BayesianJaxModels as bjm


def test_its_logarithm_is_normal(key, x64):
    mean, sd = np.array([0.25, -3.0, 50.0]), np.array([0.5, 2.0, 1e-3])
    log_normal, normal = bjm.priors.LogNormal(mean, sd), bjm.priors.Normal(mean, sd)
    x = jnp.array([1.5, 1e-300, 1e22])
    expected = normal.log_density(jnp.log(x)) - jnp.log(x)
    np.testing.assert_allclose(log_normal.log_density(x), expected, rtol=1e-14)
    np.testing.assert_allclose(
        jnp.log(log_normal.sample(key, x)), normal.sample(key, x), rtol=1e-13
    )


def test_the_mode_is_where_the_slope_is_none(x64):
    prior = bjm.priors.LogNormal(0.25, 0.5)
    mode, away = jnp.exp(jnp.array([0.25 - 0.5**2, 0.25]))
    slope = jax.grad(prior.log_density)
    assert abs(slope(mode)) < 1e-13
    np.testing.assert_allclose(slope(away), -1 / away, rtol=1e-13)


def test_nothing_is_at_zero_or_below():
    density, pull = jax.vjp(
        bjm.priors.LogNormal(0.0, 1.0).log_density, jnp.array([-1.0, 0.0, np.inf])
    )
    np.testing.assert_array_equal(density, -np.inf)
    np.testing.assert_array_equal(pull(jnp.ones(3))[0], 0)


def test_draws_that_leave_single_precision_are_at_its_ends(key):
    draws = bjm.priors.LogNormal(0.0, 1e4).sample(key, jnp.zeros(200))
    info = jnp.finfo(jnp.float32)
    assert draws.min() == 8 * info.tiny
    assert draws.max() == info.max / 8
