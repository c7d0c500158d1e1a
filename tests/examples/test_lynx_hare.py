"""Lynx and hare: what the example prints and returns, and its density."""

import importlib
import re

import equinox as eqx
import numpy as np
from scipy.stats import norm

import BayesianJaxModels as bjm
from tests.examples.printed import said


def test_runs_small(tmp_path, capsys):
    lynx_hare = importlib.import_module("examples.lynx_hare")
    results = lynx_hare.main(**lynx_hare.SMALL, output=tmp_path / "picture.png")
    printed = capsys.readouterr().out
    # The mode beside one with flat curves, where some starts end.
    [agree] = re.findall(r"(\d+) of 16 starts agree", printed)
    assert int(agree) >= 8
    for fit in results.values():
        assert fit["table"].shape == (28, 6)
        assert fit["trajectories"].ys.shape == (400, 361, 2)
    # Few draws of the honest fit are near the reference already; the cheap one's rates
    # are too narrow.
    z, ratio = results["honest"]["table"][:, 4:].T
    assert np.max(np.abs(z)) < 0.25
    assert np.min(ratio) > 0.8
    assert np.max(ratio) < 1.25
    table = results["cheap"]["table"]
    assert np.all(table[:4, 5] < 0.7)
    # The published values are those of posteriordb: of a rate, and of 1930.
    published = results["honest"]["table"][[0, 17], 2:4]
    np.testing.assert_allclose(published, [[0.54686, 0.063055], [25.6, 3.471]])
    off, least, most, *low = said(lynx_hare.CLOSING, printed)
    wanted = [np.abs(table[:6, 4]).max(), table[:4, 5].min(), table[:4, 5].max()]
    np.testing.assert_allclose([off, least, most], wanted, atol=0.0051)
    np.testing.assert_allclose(low, -table[6:8, 4], atol=0.0051)
    assert min(low) > 0.3


def test_density_is_the_models(x64):
    """Beside the model written out again: natural units, and a plain Runge-Kutta."""
    lynx_hare = importlib.import_module("examples.lynx_hare")
    counts = np.exp(np.random.default_rng(0).normal(3.0, 0.5, (21, 2)))
    theta = np.array([0.55, 0.03, 0.8, 0.02, 30.0, 5.0, 0.3, 0.2])
    alpha, beta, gamma, delta = theta[:4]

    def field(z):
        return np.array([(alpha - beta * z[1]) * z[0], (delta * z[0] - gamma) * z[1]])

    populations, step = [theta[4:6]], 0.01
    for _ in range(20):
        z = populations[-1]
        for _ in range(100):
            k1 = field(z)
            k2 = field(z + step / 2 * k1)
            k3 = field(z + step / 2 * k2)
            k4 = field(z + step * k3)
            z = z + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        populations.append(z)

    def log_normal(x, mean, stdv):
        return -0.5 * ((x - mean) / stdv) ** 2 - np.log(stdv * np.sqrt(2 * np.pi))

    expected = np.sum(
        log_normal(theta[:4], [1, 0.05, 1, 0.05], np.array([0.5, 0.05, 0.5, 0.05]))
    )
    expected -= norm.logcdf([2.0, 1.0, 2.0, 1.0]).sum()  # above zero
    expected += np.log(theta[:4]).sum()  # the Jacobian; the others are log-normal
    expected += log_normal(np.log(theta[4:6]), np.log(10), 1.0).sum()
    expected += log_normal(np.log(theta[6:]), -1, 1.0).sum()
    expected += log_normal(np.log(counts), np.log(populations), theta[6:]).sum()
    expected -= np.log(counts).sum()  # a density of counts, not of their logarithms

    parts = np.split(np.log(theta), [4, 6])
    model = lynx_hare.LotkaVolterra(*map(bjm.DeterministicParameter, parts))
    density = lynx_hare.LogDensity(lynx_hare.SOLVE.at(np.arange(1900, 1921)), counts)
    np.testing.assert_allclose(eqx.filter_jit(density)(model), expected, rtol=1e-5)
