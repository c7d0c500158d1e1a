"""The neural CDE: what the example finds, its series, its network and exact Bayes."""

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy.stats import multivariate_normal

import BayesianJaxModels as bjm


@pytest.fixture(scope="module")
def example(run_small):
    return run_small("neural_cde")


def test_it_reads_what_it_was_trained_on(example):
    usual, faster = example["results"]["as in training"], example["results"]["faster"]
    assert 0 < example["best"] < 0.3 < usual["error"] < faster["error"]
    # Exact Bayes is as sure as it is right; few series, of small c, have large errors.
    trained = example["usual"]
    error = example["means"][:, -1] - example["omega"][trained]
    assert np.median(np.abs(error)) < 0.02
    z = error / example["sds"][:, -1]
    np.testing.assert_allclose(np.mean(z**2) ** 0.5, 1.0, atol=0.1)
    # Those that begin within twice the noise of the middle are these few.
    clear = (
        np.hypot(*example["paths"][trained][:, :5, 1:].T).mean(axis=0)
        > 2 * example["NOISE"]
    )
    assert clear.mean() > 0.95
    assert np.mean(error[clear] ** 2) ** 0.5 < 0.05
    assert min(usual["width"], faster["width"]) > 0
    assert 0 <= faster["held"] < usual["held"] <= 1


def test_series_are_of_a_rotor(example):
    """Beside the formula of the page, and in the gap there is nothing."""
    paths, omega = map(np.asarray, example["simulate"](jax.random.key(3), 200))
    assert paths.shape == (200, 24, 3)
    ts = paths[..., 0]
    steps = np.diff(ts, axis=1)
    assert np.all(steps >= 0)
    assert np.all(steps.max(axis=1) > example["GAP"])
    assert ts.min() > 0
    assert ts.max() < example["SPAN"]
    turning = np.exp((1j * omega[:, None] - 0.15) * ts)
    seen = paths[..., 1] + 1j * paths[..., 2]
    c = np.sum(turning.conj() * seen, axis=1) / np.sum(np.abs(turning) ** 2, axis=1)
    off = seen - c[:, None] * turning
    # Two numbers of each series were fitted.
    np.testing.assert_allclose(np.sum(np.abs(off) ** 2) / (200 * 46), 0.01, rtol=0.05)
    np.testing.assert_allclose(np.mean(np.abs(c) ** 2), 2.0, rtol=0.2)
    assert np.all(np.abs(omega) < 2)
    np.testing.assert_allclose(np.mean(np.abs(omega)), 1.0, atol=0.15)
    np.testing.assert_allclose(np.mean(omega), 0.0, atol=0.3)


def test_network_is_a_cde(example):
    """Beside Heun's steps written out, from the path's first point."""
    fields = bjm.BayesianMLP(8, 24, 24, 1, key=jax.random.key(0))
    model = example["NeuralCDE"](
        fields, bjm.BayesianMLP(8, 2, 24, 1, key=jax.random.key(1))
    )
    [path], _ = example["simulate"](jax.random.key(0), 1)
    path = np.asarray(path)

    def perceive(mlp, x):
        first, second = mlp.layers
        hidden = np.tanh(np.asarray(first.W.mean) @ x + first.b.mean)
        return np.asarray(second.W.mean) @ hidden + second.b.mean

    def slope(z):
        return np.reshape(perceive(model.field, z), (8, 3))

    states = [np.append(path[0], np.zeros(5))]
    for step in np.diff(path, axis=0):
        z = states[-1]
        euler = slope(z) @ step
        states.append(z + (euler + slope(z + euler) @ step) / 2)
    expected = np.array([perceive(model.readout, z) for z in states])
    mean, sd = eqx.filter_jit(model.judge)(path)
    np.testing.assert_allclose(mean, expected[:, 0], rtol=1e-4, atol=1e-4)
    softplus = np.logaddexp(0, expected[:, 1])
    np.testing.assert_allclose(sd, 0.01 + softplus, rtol=1e-4)


def test_exact_is_bayes(example):
    """Beside the joint normal density of all coordinates, on the same grid."""
    [path], _ = example["simulate"](jax.random.key(2), 1)
    path = np.asarray(path, float)
    num = 6
    t, seen = path[:num, 0], path[:num, 1:].ravel()
    grid = np.linspace(-2.0, 2.0, 401)
    log_evidence = []
    for omega in grid:
        c, s = np.cos(omega * t), np.sin(omega * t)
        rows = np.exp(-0.15 * t)[:, None, None] * np.moveaxis([[c, -s], [s, c]], -1, 0)
        design = rows.reshape(2 * num, 2)
        covariance = design @ design.T + 0.1**2 * np.eye(2 * num)
        log_evidence.append(multivariate_normal.logpdf(seen, cov=covariance))
    weights = np.exp(log_evidence - np.max(log_evidence))
    mean = np.average(grid, weights=weights)
    sd = np.average((grid - mean) ** 2, weights=weights) ** 0.5
    found = np.array(example["exact"](path))[:, num - 1]
    np.testing.assert_allclose(found, [mean, sd], rtol=1e-4)
