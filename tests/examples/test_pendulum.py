"""The pendulum: what the example finds, and its density."""

from dataclasses import replace

import equinox as eqx
import jax
import numpy as np
import pytest
import scipy.integrate
from scipy.stats import norm

import BayesianJaxModels as bjm
from tests.examples.printed import said

TRUTH = np.array([9.81, 0.15, 1.6, 0.0, 0.2])


@pytest.fixture(scope="module")
def example(run_small):
    return run_small("pendulum")


def moments(posterior):
    rows = bjm.posterior_table(posterior).parameters
    return (np.hstack([getattr(row, of) for row in rows]) for of in ("mean", "stdv"))


def held_of_velocity(example, name):
    """The share of the true velocity to come in its bands, which is never observed."""
    later = example["later"]
    forecast = bjm.predict(
        example["problem"],
        example["posteriors"][name],
        ts=later,
        key=jax.random.key(1),
        num_samples=400,
    )
    _, truth = example["solve"].at(later)(example["right"]).ys
    drawn = forecast.states.ys[1][:, later > 10]
    found = bjm.calibration.coverage(drawn, truth[later > 10], levels=[0.9])
    return found.pointwise[0]


def test_one_equation_is_right(example):
    mean, sd = moments(example["posteriors"]["Right equation"])
    assert np.all(np.abs(mean - TRUTH) < 2.5 * sd)
    assert example["held"]["Right equation"] > 0.8
    assert held_of_velocity(example, "Right equation") > 0.8


def test_what_gives_the_other_away(example):
    mean, sd = moments(example["posteriors"]["Wrong equation"])
    assert abs(mean[0] - TRUTH[0]) > 8 * sd[0]
    assert abs(mean[3]) > 2.5 * sd[3]
    assert example["held"]["Wrong equation"] < 0.5
    assert held_of_velocity(example, "Wrong equation") < 0.5
    assert example["gap"] > 5


@pytest.mark.parametrize("name", ["Right equation", "Wrong equation"])
def test_both_fits_pass_their_checks(example, name):
    posterior = example["posteriors"][name]
    agree, _ = said("{} of {} starts agree", posterior.steps[1].said)
    assert agree >= 3
    assert posterior.trustworthy


@pytest.mark.parametrize("name", ["right", "wrong"])
def test_density_is_the_models(example, name, x64):
    """Beside the model written out again, with SciPy's solver; a time is missing."""
    theta = np.array([8.0, 0.3, 1.2, -0.5, 0.15])
    times = example["seen_at"]
    angles = np.cos(2.5 * times)
    angles[4] = np.nan

    def field(t, state):
        pull = state[0] if name == "wrong" else np.sin(state[0])
        return [state[1], -8.0 * pull - 0.3 * state[1]]

    solution = scipy.integrate.solve_ivp(
        field, (0.0, times[-1]), theta[2:4], t_eval=times, rtol=1e-9, atol=1e-9
    )
    seen = ~np.isnan(angles)
    expected = norm.logpdf(angles[seen], solution.y[0][seen], 0.15).sum()
    positive = theta[[0, 1, 4]]
    centre = np.log([10.0, 0.1, 0.1])
    expected += norm.logpdf(np.log(positive), centre, 1.0).sum()
    expected += norm.logpdf(theta[2:4], 0.0, 2.0).sum()

    def known(value, support=None):
        return bjm.make_parameter(value, support=support, bayesian=False)

    model = replace(
        example[name],
        stiffness=known(theta[0], "positive"),
        damping=known(theta[1], "positive"),
        start=known(theta[2:4]),
        noise=known(theta[4], "positive"),
    )
    problem = replace(
        example["problem"],
        simulate=example["solve"].replace(rtol=1e-8, atol=1e-8),
        observations=angles,
        mask=seen,
    )
    np.testing.assert_allclose(eqx.filter_jit(problem)(model), expected, rtol=1e-6)
