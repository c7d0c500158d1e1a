import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
import scipy.stats
from jax import random

import BayesianJaxModels as bjm


def test_small_counts_in_single_precision():
    """Each at its own mean, where nothing but the constants of the counts is left."""
    count = np.arange(1, 30, dtype=np.float32)
    found = jax.jit(bjm.likelihoods.PoissonLikelihood().log_prob_each)(count, count)
    expected = scipy.stats.poisson(count.astype(float)).logpmf(count)
    np.testing.assert_allclose(found, expected, atol=7e-7)


def test_an_epidemic_that_starts_from_none(x64):
    """On day 0 nobody has recovered, and none is counted: the fit is not stopped."""

    def log_density(drawn):
        days = jnp.arange(12.0)
        spread = jnp.exp(drawn.mean)
        infected = jnp.exp(spread * days)
        recovered = (infected - 1) / spread - 1e-9  # by a rounding below 0 on day 0
        means = jnp.stack([infected, recovered], axis=-1)
        return bjm.likelihoods.PoissonLikelihood().log_prob(means, jnp.floor(counts))

    days, spread = np.arange(12.0), np.exp(-1.0)
    means = np.exp(spread * days)
    means = np.stack([means, (means - 1) / spread], axis=-1)
    counts = np.floor(means)
    model = bjm.make_parameter(-1.0, init_raw_stdv=0.3)
    expected = scipy.stats.poisson(means).logpmf(counts).sum()
    np.testing.assert_allclose(jax.jit(log_density)(model), expected, rtol=1e-8)
    mode = bjm.map_estimate(log_density, model, key=random.key(0), num_starts=2)
    assert mode.log_density >= expected
    np.testing.assert_allclose(mode.model.mean, -1.0, atol=0.05)


def test_the_score_is_what_the_count_is_above_its_mean(x64):
    mean, count = jnp.array([1e-300, 0.5, 30.0, 1e12]), np.array([1, 0, 42, 1e12 + 1e6])
    score = jax.grad(bjm.likelihoods.PoissonLikelihood().log_prob)(mean, count)
    np.testing.assert_allclose(score, count / mean - 1, rtol=1e-10, atol=1e-15)
    assert bjm.likelihoods.PoissonLikelihood().noise == {}
