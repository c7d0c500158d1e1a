"""Alpha-pinene: what the example prints and returns, and its density."""

import importlib

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from scipy.stats import norm

import BayesianJaxModels as bjm
from tests.examples.printed import said


@pytest.fixture(scope="module")
def pinene():
    return importlib.import_module("examples.alpha_pinene")


@pytest.fixture(scope="module")
def data(pinene):
    file = pinene.HERE / "data" / "alpha_pinene.csv"
    table = np.loadtxt(file, delimiter=",", skiprows=6)
    return table[:, 0], table[:, 1:]


def exact(rates, minutes):
    """The percentages, with the exponential of the system's matrix."""
    k1, k2, k3, k4, k5 = 1e-5 * np.asarray(rates)
    matrix = np.zeros((5, 5))
    matrix[:, 0] = [-k1 - k2, k1, k2, 0, 0]
    matrix[:, 2] = [0, 0, -k3 - k4, k3, k4]
    matrix[:, 4] = [0, 0, k5, 0, -k5]
    return np.stack([100 * scipy.linalg.expm(matrix * t)[:, 0] for t in minutes])


def test_alpha_pinene(pinene, tmp_path, capsys, monkeypatch):
    # An explicit solver compiles faster; the example's own is held to SciPy below.
    solver = eqx.tree_at(
        lambda solve: solve.solver,
        pinene.SOLVE,
        diffrax.Tsit5(),
    )
    monkeypatch.setattr(pinene, "SOLVE", solver)
    output = tmp_path / "picture.png"
    results = pinene.main(**pinene.SMALL, output=output)
    printed = capsys.readouterr().out
    assert output.stat().st_size > 10_000
    assert printed.count("6 of 6 starts agree") == 2
    assert results["sum_of_squares"] == pytest.approx(pinene.LEAST_SQUARES, abs=1e-3)
    np.testing.assert_allclose(results["best"], pinene.BEST, rtol=1e-3)
    (mean, sd, correlation, width), (_, sd_of_three, _, width_of_three) = (
        results[case] for case in ("five", "three")
    )
    # Of 100 draws, beside Gauss and Newton.
    assert np.all(np.abs(mean - pinene.BEST)[:5] < 0.5 * sd[:5])
    np.testing.assert_allclose(sd[:5], pinene.GAUSS_NEWTON[:5], rtol=0.3)
    assert 0.65 < correlation[4, 3] < 0.9
    assert np.all(sd_of_three > sd)
    assert sd_of_three[2] > 3 * sd[2]
    assert width_of_three > 3 * width
    ratio, *of_k3, least, most, _ = said(pinene.CLOSING, printed)
    assert ratio == pytest.approx(width_of_three / width, abs=0.5)
    five, three = results["five"], results["three"]
    wanted = [three[0][2], three[1][2], five[0][2], five[1][2]]
    np.testing.assert_allclose(of_k3, wanted, atol=0.051)
    others = (sd_of_three / sd)[[0, 1, 3, 4]]
    np.testing.assert_allclose([least, most], [min(others), max(others)], atol=0.051)


def test_reference_values_are_scipys(pinene, data):
    minutes, percent = data
    fit = scipy.optimize.least_squares(
        lambda rates: (exact(rates, minutes) - percent).ravel(),
        [5.0, 3.0, 2.0, 25.0, 4.0],
        xtol=1e-12,
        ftol=1e-12,
    )
    covariance = np.linalg.inv(fit.jac.T @ fit.jac) * 2 * fit.cost / (40 - 5)
    assert 2 * fit.cost == pytest.approx(pinene.LEAST_SQUARES, abs=1e-4)
    noise = np.sqrt(2 * fit.cost / 40)
    np.testing.assert_allclose([*fit.x, noise], pinene.BEST, atol=6e-5)
    sds = np.sqrt(np.diagonal(covariance))
    np.testing.assert_allclose(sds, pinene.GAUSS_NEWTON[:5], atol=2e-4)


@pytest.mark.parametrize("case", ["five", "three"])
def test_density_is_the_models(pinene, data, case):
    """Beside the exact solution; without two relations, the residuals' rest counts."""
    jax.config.update("jax_enable_x64", True)
    minutes, percent = data
    theta = np.log([7.0, 2.5, 3.0, 20.0, 5.0, 0.8])
    residuals = percent - exact(np.exp(theta[:5]), minutes)
    centre = np.log([10.0, 10.0, 10.0, 10.0, 10.0, 1.0])
    expected = norm.logpdf(theta, centre, 1.0).sum()
    dimension = {"five": 5, "three": 3}[case]
    if case == "three":
        total, share = np.ones((5, 1)), np.array([[0.03], [0.0], [0.0], [1.0], [0.0]])
        off = scipy.linalg.null_space(np.hstack([total, share]).T)
        residuals = residuals @ off
    expected += -0.5 * np.sum(residuals**2) / 0.8**2
    expected -= 8 * dimension * np.log(0.8 * np.sqrt(2 * np.pi))

    prior = bjm.Prior(default=bjm.priors.Normal(centre, 1.0))
    solve = pinene.SOLVE.at(minutes)
    density = pinene.LogDensity(prior, solve, percent, pinene.CASES[case][2])
    model = pinene.Kinetics(bjm.make_parameter(jnp.asarray(theta)))
    # With a solver to 1e-7 and residuals of tens of sds.
    np.testing.assert_allclose(eqx.filter_jit(density)(model), expected, rtol=1e-5)
