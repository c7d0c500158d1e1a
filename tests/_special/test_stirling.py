"""Gamma functions that keep their digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import digamma, gammaln

from BayesianJaxModels._special import stirling_remainder

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
