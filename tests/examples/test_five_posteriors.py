"""Five engines on one posterior, beside the exact one."""

import equinox as eqx
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares
from scipy.stats import norm

import BayesianJaxModels as bjm


@pytest.fixture(scope="module")
def example(run_small):
    return run_small("five_posteriors")


def bateman(logs, hours):
    ka, v, cl = np.exp(logs[:3])
    decay = np.exp(-cl / v * hours) - np.exp(-ka * hours)
    return 4.40 * ka / (v * ka - cl) * decay


def test_which_of_the_five_are_right(example):
    results, verdicts = example["results"], example["verdicts"]
    names = ["mean field", "linear response", "full covariance", "importance", "NUTS"]
    assert list(results) == names
    # What the page says: mean field is too narrow, and the package says so.
    assert verdicts["mean field"] == "fault found"
    assert np.min(results["mean field"]["ratio"]) < 0.5
    for name in ("linear response", "importance", "NUTS"):
        assert np.all(np.abs(results[name]["z"]) < 0.3)
        assert np.all(np.abs(np.log(results[name]["ratio"])) < np.log(1.25))
        assert verdicts[name] == "no fault found"


def test_the_band_of_the_next_day(example):
    """Importance has the exact one, mean field has not."""
    low, high = example["exact_band"][:, -1]
    ends = {name: found["band"][::2, -1] for name, found in example["results"].items()}
    np.testing.assert_allclose(ends["importance"], [low, high], rtol=0.1, atol=0.06)
    assert ends["mean field"][0] > 2 * low
    assert ends["mean field"][1] < 0.7 * high


def test_the_grid_is_the_posterior(example):
    """Its weights are the density, and its ends hold next to nothing."""
    exact, problem = example["exact"], example["problem"]
    draws, weights = np.asarray(exact.draws, float), np.asarray(exact.weights, float)
    for i in np.argsort(weights)[[-1, -100, -1_000]]:
        drawn = bjm.unflatten_means(exact.model, draws[i].astype(np.float32))
        np.testing.assert_allclose(problem(drawn), exact.log_weights[i], rtol=1e-4)
    place = (draws - example["evenly"].draws.min(axis=0)) / np.ptp(draws, axis=0)
    outside = np.any((place < 0.05) | (place > 0.95), axis=1)
    assert weights[outside].sum() < 0.02


def test_least_squares_are_those_that_r_finds(example):
    """The example of `Theoph` in R: `nls(conc ~ SSfol(Dose, Time, lKe, lKa, lCl))`."""
    hours, seen = example["hours"], example["measured"]
    fit = least_squares(lambda logs: bateman(logs, hours) - seen, [0.0, -1.0, -3.0])
    log_ka, log_v, log_cl = fit.x
    np.testing.assert_allclose(log_cl - log_v, -2.4365, atol=1e-4)
    np.testing.assert_allclose(log_ka, 0.1583, atol=1e-4)
    np.testing.assert_allclose(log_cl, -3.2861, atol=1e-4)


def test_the_density_is_that_of_the_prose(example):
    """Beside the equations, solved by SciPy."""
    logs = np.array([0.2, -0.8, -3.0, -0.5])
    ka, v, cl, noise = np.exp(logs)

    def field(t, state):
        return [-ka * state[0], (ka * state[0] - cl * state[1]) / v]

    hours, seen = example["hours"][1:8], example["measured"][1:8]
    options = {"t_eval": hours, "rtol": 1e-9, "atol": 1e-9}
    c = solve_ivp(field, (0, hours[-1]), [4.40, 0.0], **options).y[1]
    usual, wide = np.log([1.0, 0.5, 0.04, 0.4]), [1.0, 0.5, 1.0, 0.7]
    expected = norm.logpdf(seen, c, noise).sum()
    expected += norm.logpdf(logs, usual, wide).sum()  # of the logarithms, as drawn
    unknowns = bjm.make_parameter(np.exp(logs), support="positive")
    found = eqx.filter_jit(example["problem"])(example["OneCompartment"](unknowns))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
