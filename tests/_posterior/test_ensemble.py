"""Ensembles: who is drawn, how often, and in which shape."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import ensemble
from tests._posterior.cases import (
    MEANS,
    WEIGHTS,
    assert_shares,
    draws_of,
    entries,
    model_at,
    shares,
    stacked,
)


@pytest.mark.parametrize("weights", [None, 4 * WEIGHTS])
def test_members_are_drawn_in_proportion(weights, key):
    posterior = ensemble(stacked(), weights)
    draws = bjm.map_posterior(entries, posterior, key=key, num_samples=4_000)
    expected = np.full(3, 1 / 3) if weights is None else WEIGHTS
    assert_shares(shares(draws), expected, 4_000)
    centre = MEANS[np.argmin(np.abs(np.asarray(draws)[:, :1] - MEANS), axis=1)]
    # What a member is made of stays together, and its parameters are drawn.
    np.testing.assert_array_equal(draws[:, 2], centre)
    residuals = draws[:, :2] - centre[:, None] * np.array([1, 2])
    error = 5 * 0.0101 / 4_000**0.5
    np.testing.assert_allclose(residuals.std(0), 0.0101, atol=error)
    assert abs(np.corrcoef(residuals.T)[0, 1]) < 0.1


def test_an_ensemble_of_points_and_of_posteriors(key):
    points = ensemble(stacked(bayesian=False))
    draws = draws_of(points, random.split(key, 50))
    assert set(np.asarray(draws)[:, 0]) == set(MEANS)

    def fit(mean):
        model = model_at(mean)
        return bjm.JointPosterior.gaussian(model, 1e-4 * jnp.eye(2))

    fits = ensemble(eqx.filter_vmap(fit)(jnp.array(MEANS)), weights=[0, 1, 0])
    draws = draws_of(fits, random.split(key, 50))
    np.testing.assert_allclose(draws[:, 0], 10.0, atol=0.05)
    assert jax.tree.structure(fits.draw(key)) == jax.tree.structure(model_at(1.0))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"`rates.mean` is \(2,\).*`offset` is \(1,\)"):
        ensemble(model_at(1.0))
    with pytest.raises(ValueError, match=r"That of `mean` is \(\)"):
        ensemble(bjm.make_parameter(1.0))
    with pytest.raises(ValueError, match="has no arrays"):
        ensemble({})
    for wrong in ([-1, 1, 1], [0, 0, 0], [np.nan, 1, 1]):
        with pytest.raises(ValueError, match="`weights` must be finite, at least 0"):
            ensemble(stacked(), wrong)
    with pytest.raises(ValueError, match=r"`weights` has shape \(2,\), but \(3,\)"):
        ensemble(stacked(), [1, 1])


def test_density_and_moments_are_sums_over_the_members(x64):
    means, stdvs = np.array([[0.5, -1.0], [2.0, 1.0]]), np.array([0.3, 0.6])
    fits = bjm.GaussianParameter(jnp.asarray(means), jnp.ones((2, 2)))
    fits = fits.with_stdv(jnp.asarray(np.repeat(stdvs[:, None], 2, axis=1)))
    posterior = ensemble(fits, weights=[1.0, 3.0])
    weights = np.array([0.25, 0.75])
    np.testing.assert_array_equal(posterior.weights, weights)
    for index in (0, 1):
        np.testing.assert_array_equal(posterior.member(index).mean, means[index])
    np.testing.assert_array_equal(posterior.model.mean, means[0])
    point = np.array([0.4, 0.2])
    each = scipy.stats.norm.logpdf(point, means, stdvs[:, None]).sum(1)
    exact = scipy.special.logsumexp(each, b=weights)
    drawn = bjm.unflatten_means(posterior.model, jnp.asarray(point))
    np.testing.assert_allclose(posterior.log_prob(drawn), exact, rtol=1e-12)
    mean, covariance = posterior.moments()
    np.testing.assert_allclose(mean, weights @ means, rtol=1e-12)
    apart = means - weights @ means
    exact = (weights * apart.T) @ apart + weights @ stdvs**2 * np.eye(2)
    np.testing.assert_allclose(covariance, exact, rtol=1e-12)
    shares, parts = posterior.parts()
    np.testing.assert_array_equal(shares, weights)
    np.testing.assert_array_equal([part.model.mean for part in parts], means)
