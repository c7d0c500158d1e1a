"""Lynx: what the example finds, its network and its autoregression."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

import BayesianJaxModels as bjm

# Of networks it cannot tell whether they are right, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:`infer` speaks against its posterior")


@pytest.fixture(scope="module")
def example(run_small):
    return run_small("recurrent")


def test_forecasts(example):
    network, inside = example["scores"]["network"]
    classic, _ = example["scores"]["autoregression"]
    # Of a forecast that takes all years of 1821 to 1920 for alike it is .243.
    assert 0.1 < network < 0.243
    assert 0.17 < classic < 0.185
    assert inside >= 10


def test_likelihood_is_that_of_a_plain_loop(example):
    """The gates of Cho et al. (2014), as Equinox has them, written out again."""
    keys = jax.random.split(jax.random.key(0))
    width = example["WIDTH"]
    network = example["Network"](
        bjm.Bayesian(eqx.nn.GRUCell(1, width, key=keys[0])),
        bjm.BayesianLinear(width, 1, key=keys[1]),
        bjm.make_parameter(0.5, support="positive"),
    )
    series = example["series"]
    assert series.shape == (100,)
    cell = network.cell.to_equinox()
    weight, bias = network.readout.W.mean, network.readout.b.mean
    hidden, expected = np.zeros(width), 0.0
    for i, x in enumerate(series[:-1]):
        of_x = np.split(np.asarray(cell.weight_ih[:, 0] * x + cell.bias), 3)
        of_hidden = np.split(np.asarray(cell.weight_hh) @ hidden, 3)
        reset, keep = (expit(of_x[j] + of_hidden[j]) for j in (0, 1))
        new = np.tanh(of_x[2] + reset * (of_hidden[2] + np.asarray(cell.bias_n)))
        hidden = keep * hidden + (1 - keep) * new
        if i >= 2:
            mean = x + (np.asarray(weight).ravel() @ hidden + float(bias[0]))
            expected += norm.logpdf(series[i + 1], mean, 0.5)
    found = example["problem"].log_likelihood(network)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_autoregression_finds_its_coefficients(example):
    """Of a long series of a known one, the spread of forecasts is that of theory."""
    rng = np.random.default_rng(0)
    series = [0.0, 0.0]
    for shock in rng.normal(scale=0.2, size=20_000):
        series.append(1.0 + 1.4 * series[-1] - 0.7 * series[-2] + shock)
    series = np.array(series[100:])
    forecasts = example["autoregression"](series, (40_000, 2), rng)
    first = 1.0 + 1.4 * series[-1] - 0.7 * series[-2]
    second = 1.0 + 1.4 * first - 0.7 * series[-1]
    np.testing.assert_allclose(forecasts.mean(axis=0), [first, second], atol=0.03)
    sds = 0.2 * np.array([1.0, np.sqrt(1 + 1.4**2)])
    np.testing.assert_allclose(forecasts.std(axis=0), sds, rtol=0.02)


def test_forecasts_are_of_the_network(example):
    """Without noise they are the network's own means, one after the other."""
    network = jax.tree.map(lambda leaf: leaf[0], example["draws"])
    silent = eqx.tree_at(lambda n: n.noise.mean, network, jnp.float32(-30.0))
    seen, series = example["seen"], list(example["series"])
    for _ in range(5):
        means = silent.read(np.array(series))[1]
        series.append(float(means[-1]))
    keys = jax.random.split(jax.random.key(0), 5)
    found = example["forecast"](silent, keys)
    expected = seen.mean() + seen.std() * np.array(series[100:])
    np.testing.assert_allclose(found, expected, rtol=1e-4)
