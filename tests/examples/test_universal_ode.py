"""The universal differential equation: what the example finds, and its density."""

import dataclasses

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import norm

import BayesianJaxModels as bjm

# Few of few draws count.
pytestmark = pytest.mark.filterwarnings("ignore:Importance sampling")


@pytest.fixture(scope="module")
def example(run_small):
    return run_small("universal_ode")


def test_the_forecast_is_near_the_truth(example):
    """The first enclosure, as the equation has it, counted and five years on."""
    futures = np.asarray(example["futures"])
    assert futures.shape == (50, 33, 6, 2)
    assert np.all(np.isfinite(futures))
    truth = solve_ivp(
        lambda t, y: [0.9 * y[0] - 0.5 * y[0] * y[1], -0.7 * y[1] + 0.35 * y[0] * y[1]],
        (0, 8),
        [1.0, 2.5],
        t_eval=np.arange(33) / 4,
        rtol=1e-9,
        atol=1e-9,
    ).y.T
    np.testing.assert_allclose(example["truth"][:, 0], truth, atol=1e-5)
    error = np.abs(np.median(futures[:, :, 0], axis=0) - truth)
    assert np.max(error[:13]) < 0.15
    assert np.max(error) < 0.4


def test_the_terms_are_near_the_truth(example):
    """Along the cut, within what was seen: what prey lose and predators gain."""
    grid, seen = example["grid"], slice(5, 45)
    draws = np.asarray(example["at_grid"])
    assert draws.shape == (50, 61, 2)
    middle = np.median(draws, axis=0)
    for i, effect in enumerate([-0.5, 0.35]):
        true_term = effect * grid * 1.5
        np.testing.assert_allclose(middle[seen, i], true_term[seen], atol=0.6)


def test_shares_are_those_of_the_bands(example):
    true_terms = example["true_terms"](example["states"])
    for name, draws, truth in (
        ("terms_held", example["at_seen"], true_terms),
        ("ahead_held", example["futures"][:, 13:], example["truth"][13:]),
    ):
        low, high = np.quantile(draws, (0.05, 0.95), axis=0)
        share = ((low <= truth) & (truth <= high)).mean()
        assert example[name] == pytest.approx(share, abs=0.0101)


def test_what_the_network_should_find(example):
    """Known and unknown part are the equation of predators and prey."""
    x, y = 1.2, 0.8
    field = example["true_field"](np.array([x, y]), 0.0)
    wanted = [0.9 * x - 0.5 * x * y, -0.7 * y + 0.35 * x * y]
    np.testing.assert_allclose(field, wanted, rtol=1e-6)


def test_density_is_the_models(example, x64):
    rng = np.random.default_rng(0)
    hidden, counts = 0.5 * rng.normal(size=(3, 5)), rng.normal(2.0, 1.0, (13, 6, 2))
    points = {"bayesian": False, "bayesian_bias": False}
    layer = bjm.BayesianLinear(5, 2, **points, key=jax.random.key(0))
    model = example["Enclosure"](layer, hidden)
    problem = dataclasses.replace(example["problem"], observations=counts)
    found = eqx.filter_jit(problem)(model)

    W, b = (np.asarray(p.mean, float) for p in (layer.W, layer.b))

    def plain(t, state):
        features = np.tanh(hidden.T @ np.append(state, 1.0))
        return W @ features + b + [0.9, -0.7] * state

    expected = norm.logpdf(np.append(W, b), scale=2.0).sum()
    starts = [[1, 2.5], [3, 1], [0.5, 0.5], [4, 3], [2, 4], [5, 1.5]]
    for start, column in zip(starts, counts.swapaxes(0, 1), strict=True):
        times, tight = np.arange(13) / 4, {"rtol": 1e-9, "atol": 1e-9}
        exact = solve_ivp(plain, (0, 3), start, t_eval=times, **tight)
        expected += norm.logpdf(column, exact.y.T, 0.15).sum()
    # The example's solver takes a step of fixed size from count to count.
    np.testing.assert_allclose(found, expected, rtol=1e-4)
