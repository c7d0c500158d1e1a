"""Densities, entropies and widths against published formulas, case by case."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from jax.scipy import stats

from BayesianJaxModels import (
    DeterministicParameter,
    GaussianParameter,
    LaplacianParameter,
    MultivariateGaussianParameter,
)

MEAN = jnp.array([0.3, -1.0])
VALUE = jnp.array([0.5, 0.4])
RAW = jnp.array([0.5, 0.7])


def test_gaussian_density_and_width():
    parameter = GaussianParameter(MEAN, RAW)
    stdv = RAW**2 + 1e-4
    np.testing.assert_allclose(parameter.stdv, stdv, rtol=1e-6)
    expected = stats.norm.logpdf(VALUE, MEAN, stdv).sum()
    np.testing.assert_allclose(parameter.log_prob(VALUE), expected, rtol=1e-6)
    expected = sum(0.5 * np.log(2 * np.pi * np.e * s**2) for s in np.asarray(stdv))
    np.testing.assert_allclose(parameter.entropy(), expected, rtol=1e-6)


def test_laplacian_density_and_width():
    parameter = LaplacianParameter(MEAN, RAW)
    scale = RAW**2 + 1e-4
    np.testing.assert_allclose(parameter.scale, scale, rtol=1e-6)
    np.testing.assert_allclose(parameter.stdv, np.sqrt(2) * scale, rtol=1e-6)
    expected = stats.laplace.logpdf(VALUE, MEAN, scale).sum()
    np.testing.assert_allclose(parameter.log_prob(VALUE), expected, rtol=1e-6)
    expected = sum(np.log(2 * np.e * s) for s in np.asarray(scale))
    np.testing.assert_allclose(parameter.entropy(), expected, rtol=1e-6)


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


def test_deterministic_is_a_point_mass(key):
    parameter = DeterministicParameter(MEAN)
    np.testing.assert_array_equal(parameter.sample(key), MEAN)
    np.testing.assert_array_equal(parameter.stdv, jnp.zeros(2))
    assert parameter.entropy() == 0
    assert parameter.log_prob(MEAN) == 0
    assert parameter.log_prob(VALUE) == -jnp.inf


def test_widths_that_do_not_fit_are_named():
    with pytest.raises(
        ValueError, match=r"`raw_stdv` has shape \(1,\), but \(2,\) was"
    ):
        GaussianParameter(MEAN, jnp.ones(1))
    with pytest.raises(ValueError, match=r"`raw_scale` has shape \(\), but \(2,\) was"):
        LaplacianParameter(MEAN, 0.1)
    with pytest.raises(
        ValueError, match=r"`raw_lower` has shape \(2,\), but \(1,\) was"
    ):
        MultivariateGaussianParameter(MEAN, RAW, jnp.ones(2))
    with pytest.raises(
        ValueError, match=r"`raw_stdv` has dtype float16, but `mean` has"
    ):
        GaussianParameter(MEAN, RAW.astype(jnp.float16))


@pytest.mark.parametrize(
    "parameter",
    [
        GaussianParameter(MEAN, RAW),
        LaplacianParameter(MEAN, RAW),
        MultivariateGaussianParameter(MEAN, RAW, jnp.zeros(1)),
        DeterministicParameter(MEAN),
    ],
    ids=lambda parameter: type(parameter).__name__,
)
def test_log_prob_broadcasts_nothing(parameter):
    with pytest.raises(ValueError, match=r"`value` has shape \(\), but \(2,\) was"):
        parameter.log_prob(0.5)


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
    with pytest.raises(
        RuntimeError, match="`covariance` must be symmetric and positive"
    ):
        jax.block_until_ready(jax.jit(make)(MEAN, -jnp.eye(2)))
