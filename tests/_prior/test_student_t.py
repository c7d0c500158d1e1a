import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

import BayesianJaxModels as bjm

from .cases import agrees_in_single_precision


def test_squares_that_single_precision_does_not_hold():
    agrees_in_single_precision(bjm.priors.StudentT(0.5), 1e25, scipy.stats.t(0.5))


def test_one_degree_of_freedom_is_a_cauchy_distribution(x64):
    x = jnp.array([-1e300, -1e10, -2.0, 0.5, 7.0, 1e300])
    prior = bjm.priors.StudentT(1.0, 0.5, 4.0)
    z = np.abs(np.asarray(x) - 0.5) / 4
    expected = -np.log(4 * np.pi) - 2 * np.log(np.hypot(1, z))
    np.testing.assert_allclose(prior.log_density(x), expected, rtol=1e-14)


def test_slopes_are_those_of_the_formula(x64):
    df, z = np.array([0.02, 1.0, 4.0, 50.0]), np.array([1e6, -0.5, 2.0, 7.0])

    def density(z, df):
        return jnp.sum(bjm.priors.StudentT(df).log_density(z))

    of_z, of_df = jax.grad(density, (0, 1))(jnp.asarray(z), jnp.asarray(df))
    np.testing.assert_allclose(of_z, -(df + 1) * z / (df + z**2), rtol=1e-13)
    digamma = scipy.special.digamma
    constant = (digamma((df + 1) / 2) - digamma(df / 2) - 1 / df) / 2
    square = z**2 / df
    decay = np.log1p(square) / 2 - (df + 1) / (2 * df) * square / (1 + square)
    np.testing.assert_allclose(of_df, constant - decay, rtol=1e-12, atol=1e-14)


def test_draws_of_hardly_any_degrees_of_freedom_are_finite(key):
    """Nearly all of them leave single precision, on both sides."""
    draws = bjm.priors.StudentT(1e-3).sample(key, jnp.zeros(200))
    assert np.all(np.isfinite(draws))
    for side in (draws, -draws):
        assert 0.3 < np.mean(side > 1e30) < 0.7


def test_what_has_no_closed_form_is_refused():
    with pytest.raises(NotImplementedError, match="A StudentT knows no divergence"):
        bjm.priors.StudentT(3.0).kl_from(bjm.make_parameter(0.0))


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-6), ("float64", 1e-13)])
@pytest.mark.parametrize("df", [1e6, 1e8, 1e12])
def test_many_degrees_of_freedom_are_nearly_normal(df, dtype, rtol, x64):
    prior = bjm.priors.StudentT(jnp.asarray(df, dtype))
    z = np.array([0.0, 1.0, 4.0])
    # The first term of the expansion in 1 / df (Abramowitz and Stegun, 26.7).
    exact = scipy.stats.norm.logpdf(z) + (z**4 - 2 * z**2 - 1) / (4 * df)
    found = prior.log_density(jnp.asarray(z, dtype))
    np.testing.assert_allclose(found, exact, rtol=rtol, atol=1e3 / df**2)
