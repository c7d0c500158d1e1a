"""The pendulum: what the example prints and returns, and its density."""

import importlib
import re

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from scipy.stats import norm

import BayesianJaxModels as bjm
from tests.examples.printed import said


@pytest.fixture(scope="module")
def pendulum():
    return importlib.import_module("examples.pendulum")


def test_pendulum(pendulum, tmp_path, capsys):
    output = tmp_path / "picture.png"
    results = pendulum.main(**pendulum.SMALL, output=output)
    printed = capsys.readouterr().out
    assert output.stat().st_size > 10_000
    agree = re.findall(r"(\d+) of 16 starts agree", printed)
    assert [int(count) >= 3 for count in agree] == [True, True]
    right, wrong = results["right"], results["wrong"]
    truth = np.where(pendulum.IS_LOG, np.exp(pendulum.TRUTH), pendulum.TRUTH)
    assert np.all(np.abs(right["mean"] - truth) < 2.5 * right["sd"])
    assert abs(wrong["mean"][0] - truth[0]) > 8 * wrong["sd"][0]
    assert min(right["held"]) > 0.8
    assert max(wrong["held"]) < 0.5
    gap = right["log_evidence"] - wrong["log_evidence"]
    assert gap > 5
    # At rest in truth; what gives the wrong equation away.
    speed, sd = wrong["mean"][3], wrong["sd"][3]
    assert abs(speed) > 2.5 * sd
    held = [*right["held"], *wrong["held"]]
    *shares, speed_said, sd_said, gap_said = said(pendulum.CLOSING, printed)
    np.testing.assert_allclose(shares, held, atol=0.0051)
    np.testing.assert_allclose([speed_said, sd_said], [speed, sd], atol=0.051)
    assert gap_said == pytest.approx(float(gap), abs=0.051)


@pytest.mark.parametrize("small_swings", [False, True])
def test_density_is_the_models(pendulum, small_swings):
    """Beside the model written out again, with SciPy's solver; a time is missing."""
    theta = np.array([np.log(8.0), np.log(0.3), 1.2, -0.5, np.log(0.15)])
    times = np.arange(12) / 4
    angles = np.cos(2.5 * times)
    angles[4] = np.nan

    def field(t, state):
        pull = state[0] if small_swings else np.sin(state[0])
        return [state[1], -8.0 * pull - 0.3 * state[1]]

    solution = scipy.integrate.solve_ivp(
        field, (0.0, times[-1]), theta[2:4], t_eval=times, rtol=1e-9, atol=1e-9
    )
    seen = ~np.isnan(angles)
    expected = norm.logpdf(angles[seen], solution.y[0][seen], 0.15).sum()
    centre = [np.log(10.0), np.log(0.1), 0.0, 0.0, np.log(0.1)]
    expected += norm.logpdf(theta, centre, [1.0, 1.0, 2.0, 2.0, 1.0]).sum()

    model = pendulum.Pendulum(bjm.make_parameter(theta), jnp.array(small_swings))
    density = pendulum.LogDensity(jnp.asarray(times), jnp.asarray(angles))
    # In single precision, with a solver to 1e-5 and noise of .15.
    np.testing.assert_allclose(eqx.filter_jit(density)(model), expected, atol=5e-3)
