"""Counts of none and of very many, small and large means, against SciPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax import random

import BayesianJaxModels as bjm

from .cases import negative_binomial

EVERY = [
    bjm.likelihoods.PoissonLikelihood(),
    bjm.likelihoods.NegativeBinomialLikelihood(5.0),
]


@pytest.mark.parametrize("likelihood", EVERY, ids=["Poisson", "negative binomial"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mean_of_none(likelihood, dtype, x64):
    """None is certain, some are impossible; just below 0 is 0, with the slope above."""

    @jax.jit
    @jax.vmap
    def run(mean, count):
        def log_prob(mean):
            return likelihood.log_prob(mean, count)

        draw = likelihood.sample(random.key(0), mean)
        value, slope = jax.value_and_grad(log_prob)(mean)
        return value, slope, jax.jacfwd(log_prob)(mean), draw

    means = np.array([0.0, -1e-9, -9e-4, -2e-3, 0.0, -1e-9, 1e-30], dtype)
    counts = np.array([0, 0, 0, 0, 3, 3, 0], dtype)
    values, *slopes, draws = run(jnp.asarray(means), jnp.asarray(counts))
    assert values.dtype == draws.dtype == dtype
    np.testing.assert_array_equal(values[:6], [0, 0, 0, *[-np.inf] * 3])
    np.testing.assert_allclose(values[6], -1e-30, rtol=1e-6)
    for slope in slopes:
        np.testing.assert_array_equal(slope, [-1, -1, -1, 0, 0, 0, -1])
    np.testing.assert_array_equal(draws, [0, 0, 0, np.nan, 0, 0, 0])
    # Beside usual entries of one array, and where only these count.
    count, mask = np.array([0.0, 4.0, 2.0], dtype), np.array([True, True, False])

    @jax.jit
    def run_together(mean):
        of_rest = jax.value_and_grad(likelihood.log_prob)(mean, count, mask)
        one = likelihood.log_prob(mean[1:2], count[1:2])
        return *of_rest, one, likelihood.log_prob(mean, count)

    value, slope, one, of_all = run_together(jnp.array([0.0, 4.0, 0.0], dtype))
    np.testing.assert_allclose(value, one)
    np.testing.assert_allclose(slope, [-1, 0, 0], atol=1e-7)
    assert of_all == -np.inf


def test_large_counts_in_single_precision():
    """The logarithms that cancel are of 1e10: what is left keeps its digits."""
    mean = np.array([1e4, 1e6, 1e8, 1e8], np.float32)
    count = np.array([10_100, 1e6, 1e8 + 8_000, 5e7], np.float32)
    wide, exact = mean.astype(float), count.astype(float)
    found = jax.jit(bjm.likelihoods.PoissonLikelihood().log_prob_each)(mean, count)
    expected = scipy.stats.poisson(wide).logpmf(exact)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-3)
    for dispersion in (0.5, 1e3):
        likelihood = bjm.likelihoods.NegativeBinomialLikelihood(dispersion)
        found = eqx.filter_jit(likelihood.log_prob_each)(mean, count)
        expected = negative_binomial(wide, dispersion).logpmf(exact)
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-3)


def test_draws_of_failed_and_huge_rates():
    rates = jnp.array([jnp.nan, -1.0, 1e10, 0.0, 3.0])
    drawn = jax.jit(bjm.likelihoods.PoissonLikelihood().sample)(random.key(0), rates)
    np.testing.assert_array_equal(np.isfinite(drawn), [False] * 3 + [True] * 2)


@pytest.mark.parametrize(
    "likelihood",
    [
        bjm.likelihoods.PoissonLikelihood(),
        bjm.likelihoods.NegativeBinomialLikelihood(2.0),
    ],
)
def test_slopes_at_means_that_decay_to_nothing_in_single_precision(likelihood):
    """Counts late in a decay: the square of the mean is below what float32 holds."""
    counts = jnp.array([100.0, 2.0, 0.0, 0.0, 1.0])

    @jax.jit
    @jax.grad
    def slope(rate):
        means = 100 * jnp.exp(-rate * jnp.arange(5.0))
        return likelihood.log_prob(means, counts)

    def exact(rate):  # of the log of a mean, the slope is what a mean adds to the odds
        times, means = np.arange(5.0), 100 * np.exp(-rate * np.arange(5.0))
        weight = 1.0
        if isinstance(likelihood, bjm.likelihoods.NegativeBinomialLikelihood):
            weight = 2.0 / (2.0 + means)
        return np.sum(-times * (counts - means) * weight)

    np.testing.assert_allclose(slope(13.0), exact(13.0), rtol=1e-3)
    at_tiny = jax.jit(jax.grad(lambda mean: likelihood.log_prob(mean, np.float32(1))))
    np.testing.assert_allclose(at_tiny(jnp.float32(1e-20)), 1e20, rtol=1e-5)
