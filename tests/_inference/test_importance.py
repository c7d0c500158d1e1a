"""Importance sampling and its parts against exact answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels._inference.psis import effective_sample_size, pareto_smooth
from tests._inference.targets import (
    BANANA_MEAN,
    BANANA_SKEWNESS,
    BANANA_STDV,
    banana,
    banana_model,
    correlated,
)


@pytest.mark.parametrize("shape", [0.1, 0.4, 0.9])
def test_k_hat_is_the_shape_of_the_tail(shape):
    generator = np.random.default_rng(0)
    excess = scipy.stats.genpareto(shape).rvs(100_000, random_state=generator)
    found = [pareto_smooth(np.log(x))[1] for x in np.split(excess, 4)]
    assert abs(np.mean(found) - shape) < 0.08


def test_smoothing_keeps_averages_and_order():
    """Weights of N(0, 1) against N(0, .8): a mean that is known, and a heavy tail."""
    generator = np.random.default_rng(1)
    x = generator.normal(0, 0.8, 20_000)
    log_weights = scipy.stats.norm.logpdf(x) - scipy.stats.norm.logpdf(x, 0, 0.8)
    weights, k_hat = pareto_smooth(log_weights)
    np.testing.assert_allclose(weights.sum(), 1)
    assert np.all(np.diff(weights[np.argsort(log_weights)]) >= 0)
    np.testing.assert_allclose(weights @ x**2, 1, atol=0.05)
    assert 0.1 < k_hat < 0.6
    assert 1_000 < effective_sample_size(weights) < 20_000
    # A constant moves nothing, and draws of weight zero stay so.
    moved, _ = pareto_smooth(np.append(log_weights + 700, -np.inf))
    np.testing.assert_allclose(moved[:-1], weights, rtol=1e-9)
    assert moved[-1] == 0
    equal, k_hat = pareto_smooth(np.zeros(1_000))
    np.testing.assert_allclose(equal, 1e-3)
    assert k_hat == -np.inf
    with pytest.raises(ValueError, match="at least one number"):
        pareto_smooth(np.full(10, -np.inf))


def moments_of(posterior):
    weights, draws = np.asarray(posterior.weights), np.asarray(posterior.draws)
    mean = weights @ draws
    return mean, np.cov(draws.T, aweights=weights, ddof=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_correlated_normal_from_a_poor_start(key, dtype, x64):
    """A start that is ten times too wide or narrow, uncorrelated and off by its sd."""
    density, model = correlated(4, dtype)
    widths = jnp.sqrt(jnp.diagonal(density.covariance))
    factor = jnp.asarray([10, 0.3, 3, 0.5], dtype)
    start = bjm.JointPosterior.gaussian(
        bjm.unflatten_means(model, density.mean + widths),
        jnp.diag((factor * widths) ** 2),
    )
    posterior = bjm.importance(density, start, key=key, num_samples=4_000)
    mean, covariance = moments_of(posterior)
    sd = np.sqrt(np.diagonal(density.covariance))
    assert np.max(np.abs(mean - density.mean) / sd) < 0.05
    np.testing.assert_allclose(np.sqrt(np.diagonal(covariance)) / sd, 1, atol=0.04)
    correlation = covariance / np.outer(sd, sd)
    assert np.max(np.abs(correlation - (0.9 + 0.1 * np.eye(4)))) < 0.08
    assert posterior.draws.dtype == dtype
    found = posterior.diagnostics
    assert found.k_hat < 0.5
    assert found.ess > 4_000
    # The density is normalised: its evidence is 1.
    np.testing.assert_allclose(found.log_evidence, 0, atol=0.05)
    again = bjm.importance(density, start, key=key, num_samples=4_000)
    np.testing.assert_array_equal(again.draws, posterior.draws)


def test_skewed_posterior(key):
    """Skewness 2.65: what no Gaussian fits. Laplace and its like are flagged."""
    mode = bjm.map_estimate(banana, banana_model(), key=key, num_starts=4)
    np.testing.assert_allclose(mode.model.mean, 0, atol=0.05)
    start = bjm.laplace(banana, mode.model)
    with pytest.warns(UserWarning, match="fault found with 4000 draws"):
        diagnosis = bjm.diagnose(banana, start, key=key)
    assert not diagnosis.trustworthy
    laplace_sd = np.sqrt(np.diagonal(start.covariance))
    assert laplace_sd[1] / BANANA_STDV[1] < 0.5
    posterior = bjm.importance(banana, start, key=key)
    mean, covariance = moments_of(posterior)
    assert np.max(np.abs(mean - BANANA_MEAN) / BANANA_STDV) < 0.1
    np.testing.assert_allclose(
        np.sqrt(np.diagonal(covariance)) / BANANA_STDV, 1, atol=0.08
    )
    y = np.asarray(posterior.draws)[:, 1]
    skewness = np.asarray(posterior.weights) @ (y - mean[1]) ** 3
    assert skewness / BANANA_STDV[1] ** 3 > 0.7 * BANANA_SKEWNESS > 1.8


def test_draws_by_weight_and_every_draw_once(key):
    model = banana_model()
    draws = random.normal(key, (64, 2))
    log_weights = jnp.where(jnp.arange(64) < 32, jnp.log(3.0), 0.0)
    posterior = bjm.DrawsPosterior(model, draws, log_weights)
    np.testing.assert_allclose(posterior.weights.sum(), 1, rtol=1e-6)
    picked = bjm.map_posterior(
        lambda drawn: drawn.mean, posterior, key=key, num_samples=20_000
    )
    in_first = np.isin(np.asarray(picked), np.asarray(draws)[:32]).all(1).mean()
    assert abs(in_first - 0.75) < 4 * (0.75 * 0.25 / 20_000) ** 0.5
    every = bjm.map_posterior(
        lambda drawn: drawn.mean, posterior, key=key, num_samples=None
    )
    np.testing.assert_array_equal(every, draws)
    np.testing.assert_array_equal(
        jax.jit(
            lambda posterior: bjm.map_posterior_pure(
                lambda drawn: drawn.mean, posterior, key=key, num_samples=None
            )
        )(posterior),
        draws,
    )
    with pytest.raises(ValueError, match="Say how many draws"):
        bjm.map_posterior(lambda m: m.mean, model, key=key, num_samples=None)
    with pytest.raises(ValueError, match=r"`draws` has shape \(64, 3\)"):
        bjm.DrawsPosterior(model, jnp.ones((64, 3)))
    with pytest.raises(ValueError, match=r"`log_weights` has shape \(3,\)"):
        bjm.DrawsPosterior(model, draws, jnp.ones(3))


def test_failed_draws_count_and_bad_weights_warn(key):
    def half(drawn):
        return jnp.where(drawn.mean[0] > 0, banana(drawn), jnp.nan)

    start = bjm.JointPosterior.full(banana_model(), init_stdv=1.0)
    posterior = bjm.importance(half, start, key=key, num_samples=1_000, num_rounds=2)
    found = posterior.diagnostics
    assert 100 < found.num_failed < 1_500
    assert found.num_evaluations == 2_000
    assert np.sum(posterior.weights == 0) >= found.num_failed
    assert np.all(posterior.draws[:, 0] > 0)
    # As many draws whatever fails, so that nothing is compiled anew.
    other = bjm.importance(
        half, start, key=random.key(7), num_samples=1_000, num_rounds=2
    )
    assert other.diagnostics.num_failed != found.num_failed
    traces = []

    def first(drawn):
        traces.append(None)
        return drawn.mean[0]

    for one in (posterior, other):
        values = bjm.map_posterior(first, one, key=key, num_samples=None)
        assert values.shape == (2_000,)
    assert len(traces) == 1

    far = bjm.JointPosterior.gaussian(
        bjm.GaussianParameter(jnp.array([9.0, 0.0]), jnp.ones(2)), 0.01 * jnp.eye(2)
    )
    with pytest.warns(UserWarning, match=r"k-hat .*effective draws .*`nuts`"):
        bjm.importance(banana, far, key=key, num_samples=100, num_rounds=1)
    with pytest.raises(ValueError, match="not finite for any of the 100 draws"):
        bjm.importance(lambda m: jnp.log(-1.0), start, key=key, num_samples=100)


def test_mistakes_are_named(key):
    start = bjm.JointPosterior.full(banana_model(), init_stdv=1.0)
    for name, value in (("num_samples", 10), ("num_rounds", 0), ("df", 2)):
        with pytest.raises(ValueError, match=f"`{name}` must be at least"):
            bjm.importance(banana, start, key=key, **{name: value})
    with pytest.raises(ValueError, match="must return one real number"):
        bjm.importance(lambda m: m.mean, start, key=key)
    fixed = bjm.DeterministicParameter(jnp.zeros(2))
    with pytest.raises(ValueError, match="positive definite.*no width"):
        bjm.importance(banana, fixed, key=key)
