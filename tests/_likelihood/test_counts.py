"""Counts over all dispersions, of none and of very many, against SciPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax import random

import BayesianJaxModels as bjm


def negative_binomial(mean, dispersion):
    return scipy.stats.nbinom(dispersion, dispersion / (dispersion + mean))


DISPERSIONS = [1e-3, 0.3, 8.0, 10.0, 25.0, 1e3]


def test_negative_binomial_over_dispersions(x64):
    """The density, its slope by digamma functions, and its Poisson limit."""
    mean, counts = np.array([0.5, 7.0, 300.0]), np.array([2.0, 10.0, 250.0])

    def log_prob_each(dispersion):
        likelihood = bjm.likelihoods.NegativeBinomialLikelihood(dispersion)
        return likelihood.log_prob_each(jnp.asarray(mean), counts)

    density, slopes = jax.jit(
        jax.vmap(lambda d: jax.jvp(log_prob_each, (d,), (jnp.ones(()),)))
    )(jnp.array([*DISPERSIONS, 1e10]))
    for index, dispersion in enumerate(DISPERSIONS):
        expected = negative_binomial(mean, dispersion).logpmf(counts)
        np.testing.assert_allclose(density[index], expected, rtol=1e-10)
        total = counts + dispersion
        digamma = scipy.special.digamma
        slope = digamma(total) - digamma(dispersion) + 1 - total / (mean + dispersion)
        slope -= np.log1p(mean / dispersion)
        np.testing.assert_allclose(slopes[index], slope, rtol=1e-9, atol=1e-12)
    limit = scipy.stats.poisson(mean).logpmf(counts)
    first_order = ((counts - mean) ** 2 - counts) / (2 * 1e10)
    np.testing.assert_allclose(density[-1], limit + first_order, rtol=1e-11)
    near_limit = bjm.likelihoods.NegativeBinomialLikelihood(1e6)
    single = eqx.filter_jit(near_limit.log_prob_each)(np.float32(mean), counts)
    expected = limit + ((counts - mean) ** 2 - counts) / (2 * 1e6)
    np.testing.assert_allclose(single, expected, atol=3e-4)


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


def test_extremes_of_the_dispersion(x64):
    """Infinite it is Poisson; near 0 nearly all is at 0, and a draw that is 0 fails."""
    mean, count = jnp.array([0.0, 0.3, 7.0, 1e6]), np.array([0.0, 2.0, 0.0, 1e6 + 500])
    given = bjm.likelihoods.NegativeBinomialLikelihood(np.inf)

    @jax.jit
    def run_infinite(mean):
        kinds = (bjm.likelihoods.PoissonLikelihood(), given)
        draws = given.sample(random.key(0), jnp.full(4_000, 7.0))
        return *[kind.log_prob_each(mean, count) for kind in kinds], draws

    poisson, of_given, draws = run_infinite(mean)

    @jax.jit
    @jax.vmap
    def run(dispersion):
        def log_prob_each(dispersion):
            likelihood = bjm.likelihoods.NegativeBinomialLikelihood(dispersion)
            return likelihood.log_prob_each(mean.astype(dispersion.dtype), count)

        value, slope = jax.jvp(
            log_prob_each, (dispersion,), (jnp.ones_like(dispersion),)
        )
        return value, slope, jax.jacrev(log_prob_each)(dispersion)

    for dtype in (np.float64, np.float32):
        value, *slopes = run(jnp.array([np.inf, 0.0, -1.0, np.nan, 1e-15], dtype))
        rtol = 1e-12 if dtype == np.float64 else 1e-5
        np.testing.assert_allclose(value[0], poisson, rtol=rtol)
        assert np.all(value[1:4] == -np.inf)
        tiny = 1e-15 * np.log(1 + np.asarray(mean) / 1e-15)
        np.testing.assert_allclose(value[4, [0, 2]], -tiny[[0, 2]], rtol=1e-5)
        expected = np.log(1e-15 / (1e6 + 500))  # P(k) is near dispersion / k
        np.testing.assert_allclose(value[4, 3], expected, rtol=1e-6)
        for slope in slopes:
            assert np.all(np.isfinite(slope))
            assert np.all(slope[:4] == 0)
    np.testing.assert_allclose(of_given, poisson, rtol=1e-12)
    np.testing.assert_allclose(np.var(draws), 7.0, rtol=0.1)


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


def test_small_counts_in_single_precision():
    """Each at its own mean, where nothing but the constants of the counts is left."""
    count = np.arange(1, 30, dtype=np.float32)
    found = jax.jit(bjm.likelihoods.PoissonLikelihood().log_prob_each)(count, count)
    expected = scipy.stats.poisson(count.astype(float)).logpmf(count)
    np.testing.assert_allclose(found, expected, atol=7e-7)


def test_draws_of_failed_and_huge_rates():
    rates = jnp.array([jnp.nan, -1.0, 1e10, 0.0, 3.0])
    drawn = jax.jit(bjm.likelihoods.PoissonLikelihood().sample)(random.key(0), rates)
    np.testing.assert_array_equal(np.isfinite(drawn), [False] * 3 + [True] * 2)


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
