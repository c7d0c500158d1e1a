"""Lynx: what the example prints and returns, its network and its autoregression."""

import importlib

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

import BayesianJaxModels as bjm
from tests.examples.printed import said


@pytest.fixture(scope="module")
def recurrent():
    return importlib.import_module("examples.recurrent")


def test_recurrent(recurrent, tmp_path, capsys):
    output = tmp_path / "picture.png"
    results = recurrent.main(**recurrent.SMALL, output=output)
    assert output.stat().st_size > 10_000
    network, classic = results["GRU network"], results["AR(2)"]
    # Of a forecast that takes all years of 1821 to 1920 for alike it is .243.
    assert 0.1 < network["crps"] < 0.243
    assert 0.17 < classic["crps"] < 0.185
    assert network["inside"] >= 10
    assert np.all((results["share"] > 0) & (results["share"] < 1))
    share, *of_network, of_classic = said(recurrent.CLOSING, capsys.readouterr().out)
    assert share == pytest.approx(results["share"][-1], abs=0.0051)
    inside, factor, crps = of_network
    assert inside == network["inside"]
    assert factor == pytest.approx(network["factor"], abs=0.51)
    np.testing.assert_allclose(
        [crps, of_classic], [network["crps"], classic["crps"]], atol=6e-4
    )


def test_likelihood_is_that_of_a_plain_loop(recurrent):
    """The gates of Cho et al. (2014), as Equinox has them, written out again."""
    keys = jax.random.split(jax.random.key(0))
    network = recurrent.Network(
        bjm.Bayesian(eqx.nn.GRUCell(1, recurrent.WIDTH, key=keys[0])),
        bjm.BayesianLinear(recurrent.WIDTH, 1, key=keys[1]),
        bjm.likelihoods.NormalLikelihood(log_scale=bjm.make_parameter(-0.7)),
    )
    series = np.random.default_rng(0).normal(size=12).astype(np.float32)
    cell = network.cell.to_equinox()
    weight, bias = network.readout.W.mean, network.readout.b.mean
    hidden, expected = np.zeros(recurrent.WIDTH), 0.0
    for i, x in enumerate(series[:-1]):
        of_x = np.split(np.asarray(cell.weight_ih[:, 0] * x + cell.bias), 3)
        of_hidden = np.split(np.asarray(cell.weight_hh) @ hidden, 3)
        reset, keep = (expit(of_x[j] + of_hidden[j]) for j in (0, 1))
        new = np.tanh(of_x[2] + reset * (of_hidden[2] + np.asarray(cell.bias_n)))
        hidden = keep * hidden + (1 - keep) * new
        if i >= recurrent.SKIPPED:
            mean = x + (np.asarray(weight).ravel() @ hidden + float(bias[0]))
            expected += norm.logpdf(series[i + 1], mean, np.exp(-0.7))
    found = network.log_likelihood(series)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_autoregression_finds_its_coefficients(recurrent):
    """Of a long series of a known one, the spread of forecasts is that of theory."""
    rng = np.random.default_rng(0)
    series = [0.0, 0.0]
    for shock in rng.normal(scale=0.2, size=20_000):
        series.append(1.0 + 1.4 * series[-1] - 0.7 * series[-2] + shock)
    series = np.array(series[100:])
    forecasts = recurrent.autoregression(series, (40_000, 2), rng)
    first = 1.0 + 1.4 * series[-1] - 0.7 * series[-2]
    second = 1.0 + 1.4 * first - 0.7 * series[-1]
    np.testing.assert_allclose(forecasts.mean(axis=0), [first, second], atol=0.03)
    sds = 0.2 * np.array([1.0, np.sqrt(1 + 1.4**2)])
    np.testing.assert_allclose(forecasts.std(axis=0), sds, rtol=0.02)
