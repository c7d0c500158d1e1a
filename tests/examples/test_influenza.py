"""Influenza: beside the exact posterior, and the density beside SciPy's."""

import importlib
import re

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

import BayesianJaxModels as bjm
from tests.examples.printed import numbers


def test_runs_small(tmp_path, capsys):
    influenza = importlib.import_module("examples.influenza")
    found = influenza.main(**influenza.SMALL, output=tmp_path / "picture.png")
    printed = capsys.readouterr().out
    agree = re.findall(r"(\d+) of 16 starts agree", printed)
    assert np.all(np.array(agree, int) >= 12)
    # Of each model the last five days: their bands, and what came.
    rows = [numbers(line) for line in printed.splitlines() if line.startswith("day ")]
    days, median, low, high, came = np.reshape(rows, (2, 5, 5)).transpose(2, 0, 1)
    np.testing.assert_array_equal(days, [[10, 11, 12, 13, 14]] * 2)
    np.testing.assert_array_equal(came, [[128, 68, 29, 14, 4]] * 2)
    assert np.all((low < median) & (median < high))
    inside = np.sum((low <= came) & (came <= high), axis=1)
    np.testing.assert_array_equal(inside, [2, 5])
    exact = np.array(list(influenza.EXACT.values()))
    mean, sd = found["table"][1]
    # About 1,500 effective draws: errors of .03 sd, and of 2 % in the sd.
    assert np.all(np.abs(mean - exact[:, 0]) < 0.1 * exact[:, 1])
    np.testing.assert_allclose(sd, exact[:, 1], rtol=0.1)
    # Nine days are not enough to prefer three stages, fourteen are.
    nine, fourteen = np.subtract(found["evidence"][3], found["evidence"][1])
    assert nine < 0
    assert fourteen > 5
    assert found["inside"] == {1: 2, 3: 5}


@pytest.mark.parametrize("num_stages", [1, 3])
def test_density_is_the_models(num_stages):
    """Nine days, written out again in natural units."""
    influenza = importlib.import_module("examples.influenza")
    beta, gamma, excess = 1.6, 0.45, 0.08
    days, seen = np.arange(15.0), np.arange(1, 15) <= 9
    counts = np.array([3.0, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4])

    def field(t, state):
        infections = beta * state[0] * sum(state[1:]) / 763
        onward = num_stages * gamma * state[1:]
        return [-infections, *(np.array([infections, *onward[:-1]]) - onward)]

    start = [762.0, 1.0] + [0.0] * (num_stages - 1)
    solution = integrate.solve_ivp(field, (0, 14), start, t_eval=days, rtol=1e-8)
    ill = solution.y[1:, 1:].sum(axis=0)
    n = 1 / excess
    expected = stats.nbinom.logpmf(counts, n, n / (n + ill))[seen].sum()
    expected += stats.truncnorm.logpdf(beta, -2.0, np.inf, 2.0, 1.0) + np.log(beta)
    expected += stats.truncnorm.logpdf(gamma, -0.8, np.inf, 0.4, 0.5) + np.log(gamma)
    expected += stats.expon.logpdf(excess, scale=0.2) + np.log(excess)

    model = influenza.SIR(
        bjm.make_parameter(np.log([beta, gamma])),
        bjm.make_parameter(np.log(excess)),
        num_stages,
    )
    rates = bjm.priors.TruncatedNormal(np.array([2.0, 0.4]), np.array([1.0, 0.5]))
    priors = {"log_rates": rates, "log_excess": bjm.priors.Exponential(5.0)}
    prior = {
        k: bjm.priors.OnNaturalScale(p, jnp.exp, jnp.log) for k, p in priors.items()
    }
    density = influenza.LogDensity(bjm.Prior(prior), counts, seen)
    np.testing.assert_allclose(eqx.filter_jit(density)(model), expected, atol=2e-3)
