"""Low rank plus diagonal, against the dense normal distribution that it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import random

from BayesianJaxModels import (
    GaussianParameter,
    LowRankGaussianParameter,
    kl_divergence,
    make_parameter,
)


def low_rank_of(key, shape, rank):
    size = int(np.prod(shape))
    return LowRankGaussianParameter(
        random.normal(key, shape),
        random.uniform(random.fold_in(key, 1), shape, minval=0.3),
        0.7 * random.normal(random.fold_in(key, 2), (size, rank)),
    )


@pytest.mark.parametrize("rank", [0, 2, 5])
def test_density_and_widths(rank, key, x64):
    parameter = low_rank_of(key, (2, 2), rank)
    diagonal = np.asarray(parameter.raw_diagonal).ravel() ** 2 + 1e-4
    factor = np.asarray(parameter.factor)
    covariance = factor @ factor.T + np.diag(diagonal**2)
    dense = scipy.stats.multivariate_normal(parameter.mean.ravel(), covariance)
    np.testing.assert_allclose(parameter.covariance, covariance, rtol=1e-12)
    np.testing.assert_allclose(parameter.root @ parameter.root.T, covariance)
    stdv = np.sqrt(np.diag(covariance)).reshape(2, 2)
    np.testing.assert_allclose(parameter.stdv, stdv, rtol=1e-12)
    np.testing.assert_allclose(parameter.entropy(), dense.entropy(), rtol=1e-10)
    value = random.normal(random.fold_in(key, 3), (2, 2))
    expected = dense.logpdf(value.ravel())
    np.testing.assert_allclose(parameter.log_prob(value), expected, rtol=1e-10)


def test_density_in_single_precision_where_the_factor_dominates(key):
    """Woodbury as usually written subtracts 1e8 from 1e8 here."""
    parameter = LowRankGaussianParameter(
        jnp.zeros(6), jnp.zeros(6), random.normal(key, (6, 2))
    )
    value = parameter.sample(key)
    covariance = np.asarray(parameter.factor, float)
    covariance = covariance @ covariance.T + 1e-8 * np.eye(6)
    dense = scipy.stats.multivariate_normal(np.zeros(6), covariance)
    expected = dense.logpdf(np.asarray(value, float))
    np.testing.assert_allclose(parameter.log_prob(value), expected, atol=0.02)


@pytest.mark.parametrize("apart", [1.0, 1e-2, 1e-4])
def test_columns_that_are_nearly_parallel_in_single_precision(apart, key):
    """Of `I + W^T W` single precision would lose the identity, and be NaN."""
    factor = random.normal(key, (50, 4))
    factor = factor[:, :1] + apart * factor
    parameter = LowRankGaussianParameter(jnp.full(50, 3.0), jnp.zeros(50), factor)
    exact = np.asarray(factor, float)
    covariance = exact @ exact.T + 1e-8 * np.eye(50)
    log_root = 0.5 * np.linalg.slogdet(covariance)[1]
    entropy = log_root + 25 * np.log(2 * np.pi * np.e)
    np.testing.assert_allclose(parameter.entropy(), entropy, atol=2e-3)
    draw, log_prob = parameter.sample_and_log_prob(key)
    noise = np.asarray(parameter.noise(key), float)
    deviation = 1e-4 * noise[:50] + exact @ noise[50:]
    square = deviation @ np.linalg.solve(covariance, deviation)
    expected = -0.5 * square - log_root - 25 * np.log(2 * np.pi)
    np.testing.assert_allclose(log_prob, expected, atol=0.05)


def test_slopes_and_curvatures(key, x64):
    """Against the dense normal density, with respect to all that it depends on."""
    parameter = low_rank_of(key, (3,), 2)
    value = random.normal(random.fold_in(key, 3), (3,))

    def dense(parameter, value):
        deviation = value - parameter.mean
        square = deviation @ jnp.linalg.solve(parameter.covariance, deviation)
        log_det = jnp.linalg.slogdet(2 * jnp.pi * parameter.covariance)[1]
        return -0.5 * (square + log_det)

    def sparse(parameter, value):
        return parameter.log_prob(value)

    for derivative in (jax.grad, jax.hessian):
        found, expected = (
            jax.jit(derivative(fn, (0, 1)))(parameter, value) for fn in (sparse, dense)
        )
        for left, right in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-8, atol=1e-9)


def test_draws_have_its_covariance(key):
    parameter = low_rank_of(key, (3,), 1)
    draws = jax.vmap(parameter.sample)(random.split(key, 50_000))
    covariance = np.asarray(parameter.covariance)
    variance = np.diag(covariance)
    error = 5 * np.sqrt((np.outer(variance, variance) + covariance**2) / 50_000)
    assert np.all(np.abs(np.cov(draws.T) - covariance) < error)


def test_made_from_a_value():
    parameter = make_parameter(
        jnp.ones((2, 3)), param_type=LowRankGaussianParameter, init_raw_stdv=0.5
    )
    assert parameter.factor.shape == (6, 4)
    np.testing.assert_allclose(parameter.stdv, 0.2501, rtol=0.1)
    assert LowRankGaussianParameter.from_value(1.0).factor.shape == (1, 1)
    made = LowRankGaussianParameter.of_rank(jnp.ones(5), 2, 0.5)
    again = LowRankGaussianParameter.of_rank(jnp.ones(5), 2, 0.5)
    np.testing.assert_array_equal(made.factor, again.factor)

    def cross_entropy(parameter):
        """The trace that pulls the covariance to another one; not flat at the start."""
        return jnp.sum(jnp.triu(parameter.covariance, 1)) - parameter.entropy()

    slopes = jax.jit(jax.grad(cross_entropy))(made).factor
    assert jnp.all(jnp.linalg.norm(slopes, axis=0) > 0.1)


def test_divergence_from_independent_normals(key, x64):
    q = low_rank_of(key, (3,), 2)
    p = GaussianParameter(jnp.array([0.2, -0.1, 0.4]), jnp.array([0.8, 0.9, 1.1]))
    precision = np.diag(1 / np.asarray(p.stdv) ** 2)
    distance = np.asarray(q.mean - p.mean)
    expected = 0.5 * (
        np.trace(precision @ q.covariance)
        + distance @ precision @ distance
        - 3
        - np.linalg.slogdet(precision @ q.covariance)[1]
    )
    np.testing.assert_allclose(kl_divergence(q, p), expected, rtol=1e-10)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="`rank` must be between 0 and 2.*got 3"):
        LowRankGaussianParameter.of_rank(jnp.ones(2), 3)
    with pytest.raises(ValueError, match=r"`factor` has shape \(3, 1\), but \(2, 1\)"):
        LowRankGaussianParameter(jnp.ones(2), jnp.ones(2), jnp.ones((3, 1)))
    with pytest.raises(ValueError, match=r"`factor` has shape \(2,\), but \(2, 2\)"):
        LowRankGaussianParameter(jnp.ones(2), jnp.ones(2), jnp.ones(2))
    with pytest.raises(ValueError, match=r"`value` has shape \(\), but \(2,\) was"):
        LowRankGaussianParameter.from_value(jnp.ones(2)).log_prob(0.5)
