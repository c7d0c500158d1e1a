import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
import scipy.stats
from jax import random

import BayesianJaxModels as bjm

from .cases import negative_binomial

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


def test_draws_have_its_mean_and_variance(key):
    """Within five standard errors; the fourth moment is that of the distribution."""
    mean, dispersion, num = 7.0, 2.5, 20_000
    likelihood = bjm.likelihoods.NegativeBinomialLikelihood(dispersion)
    draws = np.asarray(
        eqx.filter_jit(likelihood.sample)(key, jnp.full(num, mean)), float
    )
    variance = mean + mean**2 / dispersion
    exact = negative_binomial(mean, dispersion)
    kurtosis = float(exact.stats("k")) + 2
    assert abs(draws.mean() - mean) < 5 * (variance / num) ** 0.5
    assert abs(draws.var() - variance) < 5 * variance * (kurtosis / num) ** 0.5
    np.testing.assert_array_equal(draws, np.floor(draws))
