import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

import BayesianJaxModels as bjm
from BayesianJaxModels._compute import symmetric_uniform

from .cases import agrees_in_single_precision


def test_squares_that_single_precision_does_not_hold():
    agrees_in_single_precision(bjm.priors.HalfCauchy(1.0), 1e25, scipy.stats.halfcauchy)


def test_a_half_normal_is_both_halves_of_a_normal(x64):
    x = jnp.array([0.0, 1e-300, 0.5, 3.0, 1e100])
    scale = np.array([1.0, 1e-280, 0.25, 10.0, 1e100])
    half = bjm.priors.HalfNormal(scale)
    normal = bjm.priors.Normal(0.0, scale)
    expected = normal.log_density(x) + np.log(2)
    np.testing.assert_allclose(half.log_density(x), expected, rtol=1e-14, atol=1e-14)
    np.testing.assert_array_equal(half.log_density(-x)[1:], -np.inf)


def test_the_tail_of_a_half_cauchy_falls_with_the_square(x64):
    """Its median is the scale, and far out the density is `2 scale / (pi x**2)`."""
    prior = bjm.priors.HalfCauchy(4.0)
    x = jnp.array([4e12, 4e100, 4e200, 1e308])
    expected = np.log(8 / np.pi) - 2 * np.log(x)
    np.testing.assert_allclose(prior.log_density(x), expected, rtol=1e-14)
    slopes = jax.vmap(jax.grad(prior.log_density))(x)
    np.testing.assert_allclose(slopes, -2 / x, rtol=1e-14)
    np.testing.assert_allclose(prior.log_density(jnp.zeros(())), np.log(0.5 / np.pi))
    below_median = scipy.integrate.quad(
        lambda x: np.exp(float(prior.log_density(jnp.array(x)))), 0, 4
    )
    np.testing.assert_allclose(below_median[0], 0.5, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_of_a_half_cauchy_are_exact_quantiles(dtype, key, x64):
    """To rounding also near the pole of the tangent, where most digits would go."""
    like = jnp.zeros(100_000, dtype)
    share = np.abs(symmetric_uniform(key, like.shape, like.dtype)).astype(float)
    assert share.max() > 1 - 1e-4
    found = bjm.priors.HalfCauchy(0.5).sample(key, like)
    # The distance to the pole is exact, so the inverse tangent of it is.
    expected = np.where(
        share > 0.5, 1 / np.tan(np.pi / 2 * (1 - share)), np.tan(np.pi / 2 * share)
    )
    rtol = 8 * jnp.finfo(dtype).eps
    np.testing.assert_allclose(found, 0.5 * expected, rtol=rtol)
