"""Five engines on one posterior, beside the exact one."""

import importlib

import jax
import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.stats import norm

import BayesianJaxModels as bjm


@pytest.fixture(scope="module")
def example():
    return importlib.import_module("examples.five_posteriors")


@pytest.fixture
def data(example):
    file = example.HERE / "data" / "theophylline_subject_4.csv"
    return np.loadtxt(file, delimiter=",", skiprows=4)


def bateman(logs, hours):
    ka, v, cl = np.exp(logs[:3])
    decay = np.exp(-cl / v * hours) - np.exp(-ka * hours)
    return 4.40 * ka / (v * ka - cl) * decay


def test_five_posteriors(example, tmp_path, capsys):
    output = tmp_path / "picture.png"
    results = example.main(**example.SMALL, output=output)
    printed = capsys.readouterr().out
    assert output.stat().st_size > 10_000
    assert "None of the five knows whether the model is right" in " ".join(
        printed.split()
    )
    assert list(results) == [
        "mean field",
        "full covariance",
        "linear response",
        "importance",
        "NUTS",
        "exact",
    ]
    assert "not to be trusted" in results["mean field"]["warned"][0]
    # What the page says: mean field is too narrow, linear response and draws are not.
    assert np.min(results["mean field"]["sd_ratio"]) < 0.5
    for name in ("linear response", "importance", "NUTS"):
        assert np.all(np.abs(results[name]["z"]) < 0.3)
        assert np.all(results[name]["sd_ratio"] > 0.75)
        assert np.all(results[name]["sd_ratio"] < 1.25)
    seconds = {name: found["seconds"] for name, found in results.items()}
    assert seconds["linear response"] > seconds["mean field"]


def test_least_squares_are_those_that_r_finds(data):
    """The example of `Theoph` in R: `nls(conc ~ SSfol(Dose, Time, lKe, lKa, lCl))`."""
    hours, seen = data.T
    fit = least_squares(lambda x: bateman(x, hours) - seen, [0.0, -1.0, -3.0])
    log_ka, log_v, log_cl = fit.x
    np.testing.assert_allclose(log_cl - log_v, -2.4365, atol=1e-4)
    np.testing.assert_allclose(log_ka, 0.1583, atol=1e-4)
    np.testing.assert_allclose(log_cl, -3.2861, atol=1e-4)


def test_the_density_is_that_of_the_docstring(example, data, x64):
    logs = np.array([0.2, -0.8, -3.0, -0.5])
    expected = norm.logpdf(
        data[1:8, 1], bateman(logs, data[1:8, 0]), np.exp(-0.5)
    ).sum()
    expected += norm.logpdf(logs, example.CENTRES, example.SDS).sum()
    prior = bjm.Prior(default=bjm.Normal(example.CENTRES, example.SDS))
    model = example.OneCompartment(bjm.make_parameter(logs))
    density = example.LogDensity(prior, *jax.device_put((data[:8, 0], data[1:8, 1])))
    found = jax.jit(lambda model: density(model))(model)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
