"""Entries that go together, against SciPy and NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import random

from BayesianJaxModels.priors import MultivariateNormal

COVARIANCE = np.array([[1.0, 0.5, -0.2], [0.5, 2.0, 0.3], [-0.2, 0.3, 0.5]])
FACTOR, MEAN = np.linalg.cholesky(COVARIANCE), np.array([1.0, 0.0, -1.0])


def test_density_is_that_of_scipy(x64):
    values = np.random.default_rng(0).normal(size=(4, 3))
    found = MultivariateNormal(MEAN, FACTOR).log_density(jnp.asarray(values))
    exact = scipy.stats.multivariate_normal(MEAN, COVARIANCE).logpdf(values)
    assert found.shape == (4, 3)
    assert np.allclose(found.sum(axis=1), exact)


def test_draws_and_standard_numbers():
    prior = MultivariateNormal(MEAN, FACTOR)
    value = jnp.zeros((20_000, 3))
    drawn = np.asarray(prior.sample(random.key(0), value))
    assert np.allclose(np.cov(drawn.T), COVARIANCE, atol=0.05)
    assert np.allclose(drawn.mean(axis=0), MEAN, atol=0.04)
    z = jnp.ones((2, 3))
    assert np.allclose(prior.to_standard(prior.from_standard(z)), z, atol=1e-5)


def test_wrong_factors_are_named():
    with pytest.raises(ValueError, match="`factor` must be a lower matrix"):
        MultivariateNormal(0.0, COVARIANCE)
    with pytest.raises(ValueError, match="`factor` must have shape"):
        MultivariateNormal(0.0, FACTOR).log_density(jnp.zeros((4, 2)))
