import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax import random

import BayesianJaxModels as bjm


def test_infinite_degrees_of_freedom_are_normal():
    z = jnp.array([0.0, -1.5, 4.0, 30.0])
    expected = scipy.stats.norm.logpdf(np.asarray(z, float))
    for df in (np.inf, 1e12):
        found = bjm.likelihoods.StudentTLikelihood(df, 1.0).log_prob_each(
            jnp.zeros(4), z
        )
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    exact = scipy.stats.t(1e5).logpdf(np.asarray(z, float))
    found = bjm.likelihoods.StudentTLikelihood(1e5, 1.0).log_prob_each(jnp.zeros(4), z)
    np.testing.assert_allclose(found, exact, rtol=1e-6)
    drawn = bjm.likelihoods.StudentTLikelihood(np.inf, 1.0).sample(
        random.key(0), jnp.zeros(9)
    )
    assert np.all(np.isfinite(drawn))


def test_tails_of_the_t_distribution(x64):
    """By SciPy's incomplete beta function, and the slope with respect to `df`."""
    z = np.array([0.0, 1e-3, 0.5, 3.0, 20.0])
    limits = np.append(z, -z)

    def log_survival(df):
        noise = bjm.likelihoods.Censored(
            bjm.likelihoods.StudentTLikelihood(df, 1.0), upper=limits
        )
        return noise.log_prob_each(jnp.zeros(10), np.full(10, 100.0))

    dfs = np.array([0.3, 1.0, 2.5, 30.0, 1e4])
    run = jax.jit(jax.vmap(lambda df: jax.jvp(log_survival, (df,), (jnp.ones(()),))))
    values, slopes = run(jnp.asarray(dfs))
    for df, value, slope in zip(dfs, values, slopes, strict=True):
        exact = scipy.stats.t(df).logsf(limits)
        np.testing.assert_allclose(value, exact, rtol=1e-11)
        ends = [scipy.stats.t(df * (1 + h)).logsf(limits) for h in (1e-5, -1e-5)]
        difference = (ends[0] - ends[1]) / (2e-5 * df)
        np.testing.assert_allclose(slope, difference, rtol=1e-5, atol=1e-9)


def test_degrees_of_freedom_that_are_none_are_named():
    with pytest.raises(ValueError, match="`df` must be positive"):
        bjm.likelihoods.StudentTLikelihood(0.0, 1.0)
