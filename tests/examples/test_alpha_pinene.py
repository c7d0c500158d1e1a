"""Alpha-pinene: what the example finds, and its density."""

from dataclasses import replace

import equinox as eqx
import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from scipy.stats import norm

import BayesianJaxModels as bjm


@pytest.fixture(scope="module")
def example(run_small):
    return run_small("alpha_pinene")


def exact(rates, minutes):
    """The percentages, with the exponential of the system's matrix."""
    k1, k2, k3, k4, k5 = 1e-5 * np.asarray(rates)
    matrix = np.zeros((5, 5))
    matrix[:, 0] = [-k1 - k2, k1, k2, 0, 0]
    matrix[:, 2] = [0, 0, -k3 - k4, k3, k4]
    matrix[:, 4] = [0, 0, k5, 0, -k5]
    return np.stack([100 * scipy.linalg.expm(matrix * t)[:, 0] for t in minutes])


def test_least_squares_are_the_published(example, x64):
    assert example["sum_of_squares"] == pytest.approx(19.8721, abs=1e-3)
    np.testing.assert_allclose(example["best"].rates.value, example["BEST"], rtol=1e-3)


def test_five_measurements_give_what_least_squares_do(example, x64):
    posterior = example["posteriors"]["taken for five"]
    rates = bjm.posterior_table(posterior).parameters[0]
    assert np.all(np.abs(rates.mean - example["BEST"]) < 0.5 * rates.stdv)
    np.testing.assert_allclose(rates.stdv, example["BEST_SD"], rtol=0.3)
    drawn = np.asarray(example["futures"]["taken for five"].drawn.rates.value)
    assert 0.65 < np.corrcoef(np.log(drawn).T)[3, 4] < 0.9


def test_three_measurements_leave_more_open(example):
    ratio = example["stdv"]["taken for three"] / example["stdv"]["taken for five"]
    assert np.all(ratio > 1)
    assert ratio[2] > 3

    def width(name):  # of the band of pyronene at the end
        band = bjm.summarise(example["futures"][name], (0.05, 0.95), of="states")
        low, high = band.equal_tailed
        return (high - low)[-1, 3]

    assert width("taken for three") > 3 * width("taken for five")


@pytest.mark.parametrize("name", ["taken for five", "taken for three"])
def test_posteriors_pass_their_checks(example, name):
    assert example["posteriors"][name].trustworthy
    assert example["futures"][name].num_failed == 0


def test_reference_values_are_scipys(example):
    minutes, percent = example["minutes"], example["percent"]
    fit = scipy.optimize.least_squares(
        lambda rates: (exact(rates, minutes) - percent).ravel(),
        [5.0, 3.0, 2.0, 25.0, 4.0],
        xtol=1e-12,
        ftol=1e-12,
    )
    covariance = np.linalg.inv(fit.jac.T @ fit.jac) * 2 * fit.cost / (40 - 5)
    assert 2 * fit.cost == pytest.approx(example["LEAST_SQUARES"], abs=1e-4)
    np.testing.assert_allclose(fit.x, example["BEST"], atol=6e-5)
    sds = np.sqrt(np.diagonal(covariance))
    np.testing.assert_allclose(sds, example["BEST_SD"], atol=2e-4)


@pytest.mark.parametrize("case", ["five", "three"])
def test_density_is_the_models(example, case, x64):
    """Beside the exact solution; without two relations, the residuals' rest counts."""
    minutes, percent = example["minutes"], example["percent"]
    theta = np.array([7.0, 2.5, 3.0, 20.0, 5.0, 0.8])
    residuals = percent - exact(theta[:5], minutes)
    centre = np.log([10.0, 10.0, 10.0, 10.0, 10.0, 1.0])
    expected = norm.logpdf(np.log(theta), centre, 1.0).sum()
    dimension = {"five": 5, "three": 3}[case]
    if case == "three":
        total, share = np.ones((5, 1)), np.array([[0.03], [0.0], [0.0], [1.0], [0.0]])
        off = scipy.linalg.null_space(np.hstack([total, share]).T)
        residuals = residuals @ off
    expected += -0.5 * np.sum(residuals**2) / 0.8**2
    expected -= 8 * dimension * np.log(0.8 * np.sqrt(2 * np.pi))

    def known(value):
        return bjm.make_parameter(value, support="positive", bayesian=False)

    model = replace(example["model"], rates=known(theta[:5]), noise=known(theta[5]))
    # With a solver to 1e-7 and residuals of tens of sds.
    found = eqx.filter_jit(example[case])(model)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
