"""The neural CDE: what the example prints and returns, its network and exact Bayes."""

import importlib

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy.stats import multivariate_normal

import BayesianJaxModels as bjm
from tests.examples.printed import said


@pytest.fixture(scope="module")
def example():
    return importlib.import_module("examples.neural_cde")


def test_runs_small(example, tmp_path, capsys):
    results = example.main(**example.SMALL, output=tmp_path / "picture.png")
    error, held, width, error_faster, held_faster, width_faster, best = results
    assert 0 < best < 0.05 < 0.3 < error < error_faster
    assert min(width, width_faster) > 0
    assert 0 <= held_faster < held <= 1
    printed = said(example.CLOSING, capsys.readouterr().out)
    shares = [error, best, held, held_faster]
    np.testing.assert_allclose(np.take(printed, [0, 1, 2, 5]), shares, atol=0.0051)
    np.testing.assert_allclose(printed[3:5], [width_faster, width], atol=0.051)


def test_network_is_a_cde(example):
    """Beside Heun's steps written out, from the path's first point."""
    fields = bjm.BayesianMLP(8, 24, 24, 1, key=jax.random.key(0))
    model = example.NeuralCDE(
        fields, bjm.BayesianMLP(8, 2, 24, 1, key=jax.random.key(1))
    )
    [path], _ = example.simulate(np.random.default_rng(0), 1)
    assert np.all(np.diff(path[:, 0]) > 0)
    assert np.diff(path[:, 0]).max() > example.GAP

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
    [path], _ = example.simulate(np.random.default_rng(2), 1)
    num = 6
    t, seen = path[:num, 0], path[:num, 1:].ravel()
    grid = np.linspace(-example.FASTEST, example.FASTEST, 401)
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
    found = np.array(example.exact(path))[:, num - 1]
    np.testing.assert_allclose(found, [mean, sd], rtol=1e-4)
