"""Lynx and hare: what the example finds, and its density."""

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy.stats import norm

import BayesianJaxModels as bjm


@pytest.fixture(scope="module")
def example(run_small):
    return run_small("lynx_hare")


def test_the_posterior_is_the_published(example):
    # Those of posteriordb: of a rate, and of a noise.
    reference = example["reference"]
    np.testing.assert_allclose(
        [reference["mean"][0], reference["sd"][0]], [0.54686, 0.063055]
    )
    assert np.abs(example["z"]).max() < 0.1
    assert example["ratio"].min() > 0.9
    assert example["ratio"].max() < 1.1
    assert example["posterior"].trustworthy


def test_the_forecast_is_the_published(example):
    """Populations from 1921 to 1930, beside the solves of Stan's 10,000 draws."""
    forecast, reference = example["forecast"], example["reference"]
    assert forecast.num_failed == 0
    ahead = np.asarray(forecast.observables)[:, 21 * 12 :: 12]
    mean, sd = (of.T.ravel() for of in (ahead.mean(axis=0), ahead.std(axis=0)))
    z = (mean - reference["mean"][8:]) / reference["sd"][8:]
    assert np.abs(z).max() < 0.25
    ratio = sd / reference["sd"][8:]
    assert ratio.min() > 0.8
    assert ratio.max() < 1.25


def test_density_is_the_models(example, x64):
    """Beside the model written out again, with a plain Runge-Kutta."""
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
    counts = example["pelts"]

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

    parts = np.split(theta, [4, 6])
    model = example["LotkaVolterra"](
        *(
            bjm.make_parameter(part, support="positive", bayesian=False)
            for part in parts
        )
    )
    problem = example["problem"]
    problem = eqx.tree_at(
        lambda problem: problem.simulate,
        problem,
        problem.simulate.replace(rtol=1e-8, atol=1e-8),
    )
    found = eqx.filter_jit(problem)(model)
    assert found.dtype == jax.numpy.float64
    np.testing.assert_allclose(found, expected, rtol=1e-7)
