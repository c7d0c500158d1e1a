"""Sums of problems."""

import diffrax
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import priors
from tests._problem.test_problem import (
    DATA,
    MODEL,
    PRIOR,
    PROBLEM,
    SOLVE,
    TS,
    concentration,
    noise_of,
)


def test_a_sum_has_the_observations_of_both_and_one_prior():
    other = bjm.Problem(SOLVE.at(TS + 1), noise_of, DATA, prior=PRIOR)
    both = PROBLEM + other
    wanted = PROBLEM(MODEL) + other(MODEL) - bjm.log_prior(MODEL, PRIOR)
    assert both(MODEL) == pytest.approx(float(wanted), rel=1e-6)
    assert sum([PROBLEM, other, other]).terms == (PROBLEM, other, other)
    np.testing.assert_array_equal(both.observations, [DATA, DATA])
    drawn = both.simulate_observations(random.key(0), MODEL)
    noise = [d - s for d, s in zip(drawn, both.outcome(MODEL).observables, strict=True)]
    assert np.abs(noise[0] - noise[1]).min() > 1e-3
    without = bjm.Problem(SOLVE, noise_of, DATA, prior=None, observe=concentration)
    assert (without + other)(MODEL) == pytest.approx(float(wanted), rel=1e-6)
    forwards = both.in_forward_mode()
    assert isinstance(forwards.terms[0].simulate.adjoint, diffrax.ForwardMode)
    assert both.at(TS).terms[1].observations is None
    apart = bjm.Problem(
        SOLVE, noise_of, DATA, prior=bjm.Prior(default=priors.LogNormal(1.0, 1.0))
    )
    with pytest.raises(ValueError, match="must have one prior"):
        PROBLEM + apart
    with pytest.raises(TypeError, match="unsupported operand"):
        PROBLEM + 3
