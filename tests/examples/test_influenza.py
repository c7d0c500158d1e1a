"""Influenza: beside the exact posterior, and the density beside SciPy's."""

from dataclasses import replace

import equinox as eqx
import numpy as np
import pytest
from scipy import integrate, stats

import BayesianJaxModels as bjm
from tests.examples.printed import said


@pytest.fixture(scope="module")
def example(run_small):
    return run_small("influenza")


def moments(posterior):
    rows = bjm.posterior_table(posterior).parameters
    return [np.hstack([getattr(row, of) for row in rows]) for of in ("mean", "stdv")]


def test_the_posterior_is_the_exact_one(example):
    # By quadrature on a grid: beta, gamma, excess and R0.
    exact_mean = np.array([1.73493, 0.54197, 0.13750, example["EXACT_R0"][0]])
    exact_sd = np.array([0.05284, 0.04537, 0.07482, example["EXACT_R0"][1]])
    r0 = np.asarray(example["r0"]["SIR"])
    mean, sd = moments(example["full"]["SIR"])
    # About 4,000 effective draws: errors of .02 sd, and of 2 % in the sd.
    assert np.all(np.abs(np.append(mean, r0.mean()) - exact_mean) < 0.1 * exact_sd)
    np.testing.assert_allclose(np.append(sd, r0.std()), exact_sd, rtol=0.1)


def test_three_stages_end_in_time(example):
    np.testing.assert_array_equal(example["in_bed"][9:], [128, 68, 29, 14, 4])
    assert example["share"] == pytest.approx({"SIR": 2 / 5, "Three stages": 5 / 5})


def test_nine_days_do_not_prefer_three_stages_and_all_do(example):
    def gain(fits):
        return np.diff([of.diagnostics.log_evidence for of in fits.values()])

    assert gain(example["early"]) < 0
    assert gain(example["full"]) > 5


@pytest.mark.parametrize("days", ["early", "full"])
def test_all_fits_pass_their_checks(example, days):
    for found in example[days].values():
        agree, _ = said("{} of {} starts agree", found.steps[1].said)
        assert agree >= 12
        assert found.trustworthy


@pytest.mark.parametrize("num_stages", [1, 3])
def test_density_is_the_models(example, num_stages, x64):
    """Nine days, written out again in natural units."""
    beta, gamma, excess = 1.6, 0.45, 0.08
    counts, seen = example["in_bed"], example["is_early"]

    def field(t, state):
        infections = beta * state[0] * sum(state[1:]) / 763
        onward = num_stages * gamma * state[1:]
        return [-infections, *(np.array([infections, *onward[:-1]]) - onward)]

    start = [762.0, 1.0] + [0.0] * (num_stages - 1)
    solution = integrate.solve_ivp(
        field, (0, 14), start, t_eval=np.arange(1.0, 15.0), rtol=1e-9, atol=1e-9
    )
    ill = solution.y[1:].sum(axis=0)
    n = 1 / excess
    expected = stats.nbinom.logpmf(counts, n, n / (n + ill))[seen].sum()
    expected += stats.truncnorm.logpdf(beta, -2.0, np.inf, 2.0, 1.0) + np.log(beta)
    expected += stats.truncnorm.logpdf(gamma, -0.8, np.inf, 0.4, 0.5) + np.log(gamma)
    expected += stats.expon.logpdf(excess, scale=0.2) + np.log(excess)

    def known(value):
        return bjm.make_parameter(value, support="positive", bayesian=False)

    model = replace(
        example["sir"],
        num_stages=num_stages,
        rates=known([beta, gamma]),
        excess=known(excess),
    )
    problem = example["nine_days"]
    exact = problem.simulate.replace(rtol=1e-8, atol=1e-8)
    found = eqx.filter_jit(replace(problem, simulate=exact))(model)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
