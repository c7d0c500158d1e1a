import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffrax import RESULTS
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from BayesianJaxModels import (
    DrawsPosterior,
    Problem,
    Trajectory,
    make_parameter,
    predict,
)
from BayesianJaxModels._dynamics.event import End
from BayesianJaxModels.calibration import (
    crps,
    energy_score,
    log_predictive_density,
)
from BayesianJaxModels.likelihoods import MultivariateNormalLikelihood, NormalLikelihood


@pytest.fixture
def small():
    rng = np.random.default_rng(0)
    draws, truth = rng.normal(size=(9, 2, 4, 3)), rng.normal(size=(2, 4, 3))
    return draws, truth, rng.random(9)


def energy(draws, truth, weights):
    """`draws` of shape (n, d), pair by pair."""
    weights = weights / weights.sum()
    pairs = np.linalg.norm(draws[:, None] - draws[None], axis=-1)
    to_truth = np.linalg.norm(draws - truth, axis=-1)
    return weights @ to_truth - weights @ pairs @ weights / 2


def test_crps_of_a_normal():
    draws = 2.0 + 3.0 * ndtri((np.arange(10_000) + 0.5) / 10_000)
    for y in (-1.0, 2.0, 7.5):
        z = (y - 2.0) / 3.0
        exact = 3 * (z * (2 * ndtr(z) - 1) + 2 * norm.pdf(z) - np.pi**-0.5)
        found = crps(draws[:, None], np.array([y]))
        np.testing.assert_allclose(found, exact, rtol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_pair_by_pair(small, weighted):
    draws, truth, weights = small
    settings = {"time_axis": 1, "weights": weights if weighted else None}
    weights = weights if weighted else np.ones(9)
    found = crps(draws, truth, **settings)
    of_states = energy_score(draws, truth, **settings)
    of_whole = energy_score(draws, truth, joint=True, **settings)
    for i in range(2):
        exact = energy(draws[:, i].reshape(9, -1), truth[i].ravel(), weights)
        np.testing.assert_allclose(of_whole[i], exact, rtol=1e-12)
        for t in range(4):
            exact = energy(draws[:, i, t], truth[i, t], weights)
            np.testing.assert_allclose(of_states[i, t], exact, rtol=1e-12)
            for k in range(3):
                one = energy(draws[:, i, t, k, None], truth[i, t, k], weights)
                np.testing.assert_allclose(found[i, t, k], one, rtol=1e-10)


def test_what_is_missing_or_failed_does_not_count(small):
    draws, truth, _ = small
    mask = np.ones(truth.shape, bool)
    mask[0, 1, 2], mask[1, 3] = False, False
    settings = {"time_axis": 1, "mask": mask}
    there = np.where(mask, truth, np.nan)
    np.testing.assert_array_equal(np.isnan(crps(draws, there, **settings)), ~mask)
    found = energy_score(draws, there, **settings)
    exact = energy(draws[:, 0, 1, :2], truth[0, 1, :2], np.ones(9))
    np.testing.assert_allclose(found[0, 1], exact, rtol=1e-12)
    np.testing.assert_array_equal(np.argwhere(np.isnan(found)), [[1, 3]])
    broken = draws.copy()
    broken[4, :, 2] = np.nan
    for score in (crps, energy_score):
        with pytest.warns(UserWarning, match="2 of 18 draws failed"):
            found = score(broken, truth, time_axis=1)
        desired = score(np.delete(draws, 4, axis=0), truth, time_axis=1)
        np.testing.assert_allclose(found, desired, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_draws_that_events_ended_count_until_then(small, weighted):
    draws, truth, weights = small
    draws, truth = draws[:, 0].astype(np.float32).astype(float), truth[0]
    # The first three draws end one after the other before the last of four times.
    times = np.array([1, 2, 3, 4, 4, 4, 4, 4, 4])
    is_reached, ended = np.arange(4) < times[:, None], jnp.asarray(times < 4)
    codes = jax.vmap(
        lambda ended: RESULTS.where(ended, RESULTS.event_occurred, RESULTS.successful)
    )(ended)
    end = End(jnp.zeros(9), jnp.zeros((9, 3)), ended, jnp.asarray(is_reached))
    ys = jnp.asarray(np.where(is_reached[..., None], draws, np.nan), jnp.float32)
    given = jnp.float32(weights) if weighted else None
    trajectory = Trajectory(jnp.arange(4.0), ys, codes, jnp.ones(9, int), given, end)
    weights = np.asarray(given, float) if weighted else np.ones(9)
    truth = truth.astype(np.float32).astype(float)
    of_each, of_states = crps(trajectory, truth), energy_score(trajectory, truth)
    for t, left in enumerate(is_reached.T):
        exact = energy(draws[left, t], truth[t], weights[left])
        np.testing.assert_allclose(of_states[t], exact, rtol=1e-10)
        for k in range(3):
            exact = energy(draws[left, t, k, None], truth[t, k], weights[left])
            np.testing.assert_allclose(of_each[t, k], exact, rtol=1e-10)
    with pytest.warns(UserWarning, match="3 draws do not run at all times"):
        whole = energy_score(trajectory, truth, joint=True)
    exact = energy(draws[3:].reshape(6, -1), truth.ravel(), weights[3:])
    np.testing.assert_allclose(whole, exact, rtol=1e-10)


def test_scoringrules_is_missing(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "scoringrules", None)
    for score in (crps, energy_score):
        with pytest.raises(ImportError, match=r'"BayesianJaxModels\[calibration\]"'):
            score(*small[:2])


def test_log_predictive_density_of_a_conjugate_normal():
    # y ~ N(theta, 1) and theta ~ N(0, 1) make y ~ N(0, 2).
    theta = ndtri((np.arange(4_000) + 0.5) / 4_000)
    y = np.array([[-1.0, 0.3], [2.0, 0.0]])
    log_probs = norm.logpdf(y, theta[:, None, None])
    exact = norm.logpdf(y, scale=2**0.5)
    found = log_predictive_density(log_probs)
    np.testing.assert_allclose(found.pointwise, exact, rtol=2e-4)
    np.testing.assert_allclose(found.elpd, exact.sum(), rtol=2e-4)
    np.testing.assert_allclose(found.mnll, -exact.mean(), rtol=2e-4)
    error = 2 * found.pointwise.std(ddof=1)
    np.testing.assert_allclose(found.standard_error, error, rtol=1e-12)
    # The same from even steps and weights, without an observation.
    theta = np.linspace(-7, 7, 500)
    mask = np.array([[True, False], [True, True]])
    log_probs = norm.logpdf(np.where(mask, y, np.nan), theta[:, None, None])
    found = log_predictive_density(log_probs, mask, weights=norm.pdf(theta))
    np.testing.assert_allclose(found.pointwise, np.where(mask, exact, np.nan), 1e-7)
    np.testing.assert_allclose(found.elpd, exact[mask].sum(), rtol=1e-7)


def test_draws_without_density():
    # Minus infinity is a density of zero; NaN is a failure.
    log_probs = np.log([[0.4, 0.2], [1.0, 0.6], [0.1, 0.1]])
    log_probs[1, 0], log_probs[2, 1] = -np.inf, np.nan
    found = log_predictive_density(log_probs)
    np.testing.assert_allclose(found.pointwise, np.log([0.2, 0.4]))
    assert (found.num_draws, found.num_failed) == (3, 1)
    impossible = log_predictive_density(np.full((2, 3), -np.inf))
    assert (impossible.elpd, impossible.mnll) == (-np.inf, np.inf)
    assert np.isnan(log_predictive_density(log_probs[:1, :1]).standard_error)
    with pytest.raises(ValueError, match="NaN or infinity in every draw"):
        log_predictive_density(log_probs[2:])
    with pytest.raises(ValueError, match=r"shapes \(3, 2\) and \(2, 1\)"):
        log_predictive_density(log_probs, np.ones((2, 1), bool))
    with pytest.raises(ValueError, match="0 are true"):
        log_predictive_density(log_probs, np.zeros(2, bool))


def test_scores_of_a_prediction(key):
    """Each is that of its arrays, with the data, masks and weights it knows."""
    data = np.array([[0.5, 1.1], [np.nan, 2.3], [1.4, 2.8]])
    ts = jnp.array([1.0, 2.0, 3.0])
    problem = Problem(
        lambda slopes: ts[:, None] * slopes.value,
        NormalLikelihood(0.2),
        data,
        mask=~np.isnan(data),
        prior=None,
    )
    slopes = make_parameter(np.array([0.5, 1.0]), stdv=0.1)
    draws = jnp.array([[0.5, 1.0], [0.4, 1.1], [0.55, 0.9], [0.5, 0.95]])
    weights = jnp.array([1.0, 2.0, 3.0, 2.0]) / 8
    posterior = DrawsPosterior(slopes, draws, jnp.log(weights))
    found = predict(problem, posterior, key=key, num_samples=None)
    noisy = np.asarray(found.observations)
    settings = {"mask": found.mask, "weights": np.asarray(weights)}
    np.testing.assert_allclose(crps(found), crps(noisy, data, **settings), rtol=1e-6)
    for joint in (False, True):
        np.testing.assert_allclose(
            energy_score(found, joint=joint),
            energy_score(noisy, data, joint=joint, **settings),
            rtol=1e-6,
        )
    held = log_predictive_density(found)
    density = norm.logpdf(data, np.asarray(found.observables), 0.2)
    exact = np.log(np.tensordot(weights, np.exp(density), axes=1))
    np.testing.assert_allclose(held.pointwise, exact, rtol=1e-4)
    np.testing.assert_allclose(held.elpd, np.nansum(exact), rtol=1e-4)
    later = np.arange(3) >= 2
    rest = log_predictive_density(found, np.stack([later, later], axis=1))
    np.testing.assert_allclose(rest.elpd, exact[2].sum(), rtol=1e-4)
    ahead = dataclasses.replace(found, log_likelihood=None)
    with pytest.raises(ValueError, match="predict at the times of the data"):
        log_predictive_density(ahead)


def test_the_density_of_a_vector_counts_if_any_of_it_does(key):
    data = np.array([[0.5, 1.1], [0.9, 2.3]])
    correlation = jnp.array([[1.0, 0.25], [0.25, 1.0]])
    noise = MultivariateNormalLikelihood(0.2, correlation)
    problem = Problem(lambda m: m.value * jnp.ones((2, 2)), noise, data, prior=None)
    model = make_parameter(1.0, stdv=0.1)
    found = predict(problem, model, key=key, num_samples=4)
    assert log_predictive_density(found).pointwise.shape == (2,)
