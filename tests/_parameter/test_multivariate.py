import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from jax.scipy import stats

from BayesianJaxModels import (
    DeterministicParameter,
    GaussianParameter,
    MultivariateGaussianParameter,
)

MEAN = jnp.array([0.3, -1.0])
VALUE = jnp.array([0.5, 0.4])
RAW = jnp.array([0.5, 0.7])


def test_multivariate_density_and_width():
    parameter = MultivariateGaussianParameter(MEAN, RAW, jnp.array([0.4]))
    diagonal = np.asarray(RAW) ** 2 + 1e-4
    factor = np.array([[diagonal[0], 0.0], [0.4, diagonal[1]]])
    covariance = factor @ factor.T
    np.testing.assert_allclose(parameter.cholesky, factor, rtol=1e-6)
    np.testing.assert_allclose(parameter.covariance, covariance, rtol=1e-6)
    np.testing.assert_allclose(parameter.stdv, np.sqrt(np.diag(covariance)), rtol=1e-6)
    expected = stats.multivariate_normal.logpdf(VALUE, MEAN, jnp.asarray(covariance))
    np.testing.assert_allclose(parameter.log_prob(VALUE), expected, rtol=1e-5)
    expected = 0.5 * np.log(np.linalg.det(2 * np.pi * np.e * covariance))
    np.testing.assert_allclose(parameter.entropy(), expected, rtol=1e-5)


def test_multivariate_draws_have_its_covariance(key):
    covariance = np.array([[1.0, -0.8, 0.1], [-0.8, 2.0, 0.3], [0.1, 0.3, 0.5]])
    parameter = MultivariateGaussianParameter.from_covariance(jnp.ones(3), covariance)
    np.testing.assert_allclose(parameter.covariance, covariance, atol=1e-6)
    draws = jax.vmap(parameter.sample)(random.split(key, 50_000))
    # Five standard errors of a covariance; the largest is that of the largest variance.
    error = 5 * 2 * 2**0.5 / 50_000**0.5
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=error)


def test_multivariate_is_gaussian_without_correlations():
    wide = MultivariateGaussianParameter.from_value(jnp.ones((2, 3)), 0.6)
    plain = GaussianParameter.from_value(jnp.ones((2, 3)), 0.6)
    value = jnp.linspace(0.0, 1.0, 6).reshape(2, 3)
    np.testing.assert_allclose(wide.stdv, plain.stdv, rtol=1e-6)
    np.testing.assert_allclose(wide.entropy(), plain.entropy(), rtol=1e-6)
    np.testing.assert_allclose(wide.log_prob(value), plain.log_prob(value), rtol=1e-6)


def test_widths_that_do_not_fit_are_named():
    with pytest.raises(
        ValueError, match=r"`raw_lower` has shape \(2,\), but \(1,\) was"
    ):
        MultivariateGaussianParameter(MEAN, RAW, jnp.ones(2))


def test_covariances_that_are_none_are_errors():
    make = MultivariateGaussianParameter.from_covariance
    with pytest.raises(
        ValueError, match=r"`covariance` has shape \(3, 3\), but \(2, 2\)"
    ):
        make(MEAN, np.eye(3))
    with pytest.raises(ValueError, match="`covariance` must be symmetric and positive"):
        make(MEAN, np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(ValueError, match="`covariance` must be symmetric and positive"):
        make(MEAN, np.array([[1.0, 0.5], [-0.5, 1.0]]))
    assert np.isnan(jax.jit(make)(MEAN, -jnp.eye(2)).stdv).all()


def test_the_divergence_between_two_is_that_of_their_covariances(x64):
    covariances = np.array([[[0.5, 0.3], [0.3, 0.4]], [[2.0, -0.5], [-0.5, 1.0]]])
    means = np.array([[0.3, -1.0], [0.5, 0.4]])
    q, p = (
        MultivariateGaussianParameter.from_covariance(mean, covariance)
        for mean, covariance in zip(means, covariances, strict=True)
    )
    inverse, apart = np.linalg.inv(covariances[1]), np.asarray(q.mean - p.mean)
    dets = np.linalg.slogdet(covariances)[1]
    expected = np.trace(inverse @ covariances[0]) + apart @ inverse @ apart - 2
    expected = (expected + dets[1] - dets[0]) / 2
    np.testing.assert_allclose(p.kl_from(q), expected, rtol=1e-12)
    np.testing.assert_allclose(q.kl_from(q), 0, atol=1e-14)
    with pytest.raises(NotImplementedError, match="DeterministicParameter from a norm"):
        p.kl_from(DeterministicParameter(MEAN))


def test_a_factor_that_is_nearly_singular_is_too_steep(x64):
    """Its diagonal is 1, and its inverse grows with the power of its size."""
    n = 12
    below = np.tril(np.full((n, n), -1.0), -1)[np.tril_indices(n, -1)]
    raw = np.full(n, (1 - 1e-4) ** 0.5)
    steep = MultivariateGaussianParameter(jnp.zeros(n), raw, below)
    plain = MultivariateGaussianParameter(jnp.zeros(n), raw, 0 * below)
    assert steep.is_too_steep(jnp.ones(n))
    assert not plain.is_too_steep(jnp.ones(n))
    assert plain.is_too_steep(jnp.full(n, jnp.nan))
    inverse = np.linalg.inv(np.asarray(steep.cholesky))
    np.testing.assert_allclose(inverse[-1, 0], 2.0 ** (n - 2), rtol=1e-12)
