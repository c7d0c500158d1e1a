"""Gamma functions that keep their digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import betaln, digamma, gammaln

from BayesianJaxModels._special import (
    deviance,
    scaled_beta_density,
    scaled_gamma_density,
    stirling_remainder,
)

X = np.array([1e-30, 1e-3, 0.04, 0.5, 1.0, 3.7, 7.999, 8.0, 9.5, 40.0])
TOLERANCES = [("float64", 2e-14), ("float32", 5e-7)]


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_stirling_remainder(x64, dtype, tolerance):
    """By series, and below 8 by what it falls over steps of one; slopes alike."""
    x = np.asarray(X, dtype)
    value, slope = jax.jit(
        lambda x: jax.jvp(stirling_remainder, (x,), (jnp.ones_like(x),))
    )(x)
    assert value.dtype == dtype
    x = x.astype(float)
    expected = gammaln(x) - ((x - 0.5) * np.log(x) - x + np.log(2 * np.pi) / 2)
    np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)
    expected = digamma(x) - np.log(x) + 0.5 / x
    np.testing.assert_allclose(slope, expected, rtol=10 * tolerance, atol=tolerance)


def test_stirling_remainder_of_large_numbers(x64):
    """The first terms of the series are all there is; nothing overflows."""
    x = jnp.array([1e4, 1e8, 1e200])
    value, slope = jax.jvp(stirling_remainder, (x,), (jnp.ones_like(x),))
    np.testing.assert_allclose(value, 1 / (12 * x) - 1 / (360 * x) / x**2, rtol=1e-15)
    np.testing.assert_allclose(slope, -1 / (12 * x) / x, rtol=1e-7)


def test_a_deviance_keeps_its_digits_near_its_centre(x64):
    """To a rounding error of the difference it is half the square of that."""
    centre = jnp.array([1e-200, 1.0, 1e10])
    for h in (0.0, 1e-12, -1e-9, 1e-6):
        found = deviance(centre * (1 + h), centre, centre * h) / centre
        rounding = 2 * jnp.finfo(found.dtype).eps * abs(h)
        np.testing.assert_allclose(found, h**2 / 2 - h**3 / 6, rtol=0, atol=rounding)
    x, centre = np.array([1.49, 1.51, 0.49, 0.51, 1e-30, 1e30]), np.ones(6)
    found = deviance(jnp.asarray(x), jnp.asarray(centre), jnp.asarray(x - 1))
    np.testing.assert_allclose(found, x * np.log(x) - (x - 1), rtol=1e-12)
    slope = jax.grad(lambda x, y: jnp.sum(deviance(x, y, x - y)), (0, 1))
    of_x, of_centre = slope(jnp.asarray(x), jnp.asarray(centre))
    np.testing.assert_allclose(of_x, np.log(x), rtol=1e-12)
    np.testing.assert_allclose(of_centre, 1 - x, rtol=1e-12)


def test_scaled_densities_are_those_of_log_gamma_functions(x64):
    x, a, b = (
        np.array([1e-3, 0.5, 4.0]),
        np.array([0.3, 2.0, 9.0]),
        np.array([5, 0.1, 9]),
    )
    found = scaled_gamma_density(jnp.asarray(x), jnp.asarray(a))
    expected = a * np.log(x) - x - gammaln(a)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)
    x, b = x / 8, np.array([5.0, 0.1, 9.0])
    found = scaled_beta_density(*map(jnp.asarray, (x, a, b)))
    expected = a * np.log(x) + b * np.log1p(-x) - betaln(a, b)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


def test_scaled_densities_of_large_numbers_in_single_precision():
    """At the mode the height is `sqrt(a / (2 pi))`, as of a normal distribution."""
    a = jnp.array([1e4, 1e6, 1e8])
    np.testing.assert_allclose(
        scaled_gamma_density(a, a), np.log(a / (2 * np.pi)) / 2 - 1 / (12 * a), 1e-6
    )
    half = jnp.full(3, 0.5)
    expected = np.log(a / (4 * np.pi)) / 2 - 1 / (8 * a)
    np.testing.assert_allclose(scaled_beta_density(half, a, a), expected, rtol=1e-6)
    assert scaled_gamma_density(jnp.zeros(()), jnp.array(9.0)) < -700
