import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

import BayesianJaxModels as bjm

from .cases import agrees_in_single_precision, keeps_its_digits


def test_squares_that_single_precision_does_not_hold():
    agrees_in_single_precision(
        bjm.priors.Beta(2.0, 1e6), 3e-6, scipy.stats.beta(2.0, 1e6)
    )


@pytest.mark.parametrize(
    ("prior", "exact", "values"),
    [
        (bjm.priors.Beta(1e5, 1e5), scipy.stats.beta(1e5, 1e5), [0.499, 0.5, 0.501]),
        (bjm.priors.Beta(2.0, 1e5), scipy.stats.beta(2, 1e5), [1e-6, 1e-5, 1e-4]),
        (bjm.priors.Beta(1e5, 1.0), scipy.stats.beta(1e5, 1), [0.9999, 0.99999, 1.0]),
    ],
)
def test_large_concentrations_in_single_precision(prior, exact, values):
    keeps_its_digits(prior, exact, values)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ends_count_only_where_the_density_is_finite_there(dtype, x64):
    cases = [
        (1.0, 1.0, 0, 0),
        (1.0, 3.0, np.log(3), -np.inf),
        (3.0, 1.0, -np.inf, np.log(3)),
        (0.5, 1.0, -np.inf, np.log(0.5)),
        (1.0, 0.5, np.log(0.5), -np.inf),
        (1.0, 1e5, np.log(1e5), -np.inf),
        (0.5, 0.5, -np.inf, -np.inf),
    ]
    alpha, beta, *expected = np.array(cases).T
    expected = np.transpose([*expected, *[np.full(7, -np.inf)] * 4])
    prior = bjm.priors.Beta(alpha[:, None], beta[:, None])
    x = jnp.array([[0, 1, -1e-3, 1.001, np.inf, np.nan]] * 7, dtype)
    rtol = 16 * jnp.finfo(dtype).eps
    np.testing.assert_allclose(prior.log_density(x), expected, rtol, rtol)


def test_a_share_of_the_rest_has_the_parameters_exchanged(x64):
    x = jnp.array([[0.0, 1 / 64, 0.25, 0.5, 0.875, 1.0]] * 4)
    alpha = np.array([[0.25], [2.0], [1.0], [500.0]])
    beta = np.array([[3.0], [40.0], [7.5], [20.0]])
    density = bjm.priors.Beta(alpha, beta).log_density(x)
    mirrored = bjm.priors.Beta(beta, alpha).log_density(1 - x)
    np.testing.assert_allclose(density, mirrored, rtol=1e-13, atol=1e-13)


def test_both_formulas_have_the_slopes_of_digamma_functions(x64):
    """On both sides of Stirling's bound, and where only one parameter is above it."""
    alpha = np.array([1e-3, 0.5, 7.9, 8.1, 3.0, 1e-2, 1e6])
    beta = np.array([1e-3, 7.9, 7.9, 8.1, 1e5, 300.0, 2e6])
    x = np.array([1e-200, 0.3, 0.5, 0.4, 1e-5, 0.9, 0.333])

    def density(x, alpha, beta):
        return jnp.sum(bjm.priors.Beta(alpha, beta).log_density(x))

    args = tuple(map(jnp.asarray, (x, alpha, beta)))
    of_x, of_alpha, of_beta = jax.grad(density, (0, 1, 2))(*args)
    digamma = scipy.special.digamma
    of_both = digamma(alpha + beta)
    expected = np.log(x) - digamma(alpha) + of_both
    np.testing.assert_allclose(of_alpha, expected, rtol=1e-12, atol=1e-12)
    expected = np.log1p(-x) - digamma(beta) + of_both
    np.testing.assert_allclose(of_beta, expected, rtol=1e-12, atol=1e-11)
    expected = (alpha - 1) / x - (beta - 1) / (1 - x)
    np.testing.assert_allclose(of_x, expected, rtol=1e-10)


def test_draws_stay_inside_where_they_pile_up_at_the_ends(key):
    draws = bjm.priors.Beta(1e-3, 1e-3).sample(key, jnp.zeros(200))
    assert 0 < draws.min() < 1e-30
    assert 1 - 1e-6 < draws.max() < 1


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 8.0), (8.0, 2.0), (5.0, 8.0)])
def test_where_the_formulas_meet_it_is_that_of_scipy(alpha, beta, x64):
    found = bjm.priors.Beta(alpha, beta).log_density(jnp.array(0.25))
    exact = scipy.stats.beta.logpdf(0.25, alpha, beta)
    np.testing.assert_allclose(found, exact, rtol=1e-13)
