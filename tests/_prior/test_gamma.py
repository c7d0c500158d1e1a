import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

import BayesianJaxModels as bjm

from .cases import keeps_its_digits


@pytest.mark.parametrize(
    ("prior", "exact", "values"),
    [
        (
            bjm.priors.Gamma(1e6, 1e6),
            scipy.stats.gamma(1e6, scale=1e-6),
            [0.999, 1.0, 1.001],
        ),
        (
            bjm.priors.Gamma(1e4, 2e4),
            scipy.stats.gamma(1e4, scale=5e-5),
            [0.49, 0.5, 0.52],
        ),
        (
            bjm.priors.InverseGamma(1e5, 1e5),
            scipy.stats.invgamma(1e5, scale=1e5),
            [0.999, 1.0, 1.001],
        ),
    ],
)
def test_large_concentrations_in_single_precision(prior, exact, values):
    keeps_its_digits(prior, exact, values)


def test_an_exponential_is_a_gamma_of_concentration_one(x64):
    x = jnp.array([-1.0, 0.0, 1e-300, 0.5, 40.0, 1e300, np.inf])
    for rate in (1e-200, 0.25, 2.0, 1e200):
        np.testing.assert_allclose(
            bjm.priors.Exponential(rate).log_density(x),
            bjm.priors.Gamma(1.0, rate).log_density(x),
            rtol=1e-14,
        )


def test_zero_counts_only_where_the_density_is_finite_there(x64):
    zero = jnp.zeros(4)
    density = bjm.priors.Gamma(np.array([0.5, 1.0, 2.0, 1e5]), 3.0).log_density(zero)
    np.testing.assert_allclose(density, [-np.inf, np.log(3), -np.inf, -np.inf])
    density = bjm.priors.InverseGamma(np.array([0.5, 1, 2, 1e5]), 3.0).log_density(zero)
    np.testing.assert_array_equal(density, -np.inf)


def test_an_inverse_gamma_is_the_gamma_of_the_inverse(x64):
    x = jnp.array([1e-3, 0.2, 1.0, 3.0, 50.0])
    for a in (0.01, 2.0, 7.99, 8.01, 300.0):
        gamma = bjm.priors.Gamma(a, 2.5).log_density(1 / x) - 2 * jnp.log(x)
        inverse = bjm.priors.InverseGamma(a, 2.5).log_density(x)
        np.testing.assert_allclose(inverse, gamma, rtol=1e-13, atol=1e-13)


# From mpmath, with forty digits: concentration, rate or scale, value, both densities.
EXTREMES = [
    (1e-3, 1.0, 1e-300, 683.177573484931638, -698.373482311495772),
    (0.5, 2.0, 1e-10, 11.2871341121255009, -34.7645677477554127),
    (1e12, 1e12, 1.0, 12.896572024759518, 12.896572024759518),
    (1e8, 1e-8, 1e16, -28.5499596499665543, 45.1327633258429076),
    (20.0, 1.0, 1e-300, -13164.0749142532599, -14545.6259700496873),
    (20.0, 1e-10, 3.0, -478.983269301614546, -476.786044724278325),
]


def test_extreme_concentrations_rates_and_values(x64):
    a, rate, x, of_gamma, of_inverse = np.array(EXTREMES).T
    gamma = bjm.priors.Gamma(a, rate).log_density(jnp.asarray(x))
    np.testing.assert_allclose(gamma, of_gamma, rtol=1e-14)
    inverse = bjm.priors.InverseGamma(a, rate).log_density(1 / jnp.asarray(x))
    np.testing.assert_allclose(inverse, of_inverse, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("kind", "sign"), [(bjm.priors.Gamma, 1), (bjm.priors.InverseGamma, -1)]
)
def test_slopes_are_those_of_digamma_functions(kind, sign, dtype, x64):
    a = np.array([1e-3, 0.7, 7.99, 8.01, 60.0, 1e4, 1e6], dtype)
    x = (a * np.float32(1.03125)) ** sign

    def density(x, a, rate):
        return jnp.sum(kind(a, rate).log_density(x))

    of_x, of_a, of_rate = jax.grad(density, (0, 1, 2))(x, a, np.ones_like(a))
    a, x = a.astype(float), x.astype(float)
    tolerance = 20 * jnp.finfo(dtype).eps
    expected = sign * np.log(x) - scipy.special.digamma(a)
    np.testing.assert_allclose(of_a, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(
        of_rate, a - x**sign, rtol=tolerance, atol=10 * tolerance
    )
    expected = (a - 1) / x - 1 if sign > 0 else -(a + 1) / x + 1 / x**2
    np.testing.assert_allclose(of_x, expected, rtol=20 * tolerance, atol=tolerance)


def test_draws_that_leave_single_precision_are_at_its_ends(key):
    info, like = jnp.finfo(jnp.float32), jnp.zeros(200)
    draws = bjm.priors.Gamma(1e-3).sample(key, like)
    assert draws.min() == 8 * info.tiny
    assert np.mean(draws == draws.min()) > 0.5
    draws = bjm.priors.InverseGamma(1e-3).sample(key, like)
    assert draws.max() == info.max / 8
    draws = bjm.priors.Exponential(1e-38).sample(key, like)
    assert np.all(np.isfinite(draws) & (draws > 0))
