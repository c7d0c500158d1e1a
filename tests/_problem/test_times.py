"""Times of simulations."""

import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels._problem.times import at_times, times_of
from tests._problem.test_problem import SOLVE, TS


def test_solves_have_times_and_functions_have_none():
    assert times_of(lambda drawn: drawn) is None
    np.testing.assert_array_equal(times_of(SOLVE), TS)
    np.testing.assert_array_equal(times_of(at_times(SOLVE, TS + 1)), TS + 1)
    with pytest.raises(TypeError, match="Other times need a simulation that has them"):
        at_times(lambda drawn: drawn, TS)


def test_the_tangent_has_those_of_the_simulation():
    rate = {"rate": bjm.make_parameter(0.5)}
    solve = SOLVE.replace(
        vector_field=lambda m: lambda t, y, args: -m["rate"].value * y
    )
    problem = bjm.Problem(
        solve, bjm.likelihoods.NormalLikelihood(0.1), np.ones(3), prior=None
    )
    straight = problem.linearised(rate)
    assert straight.ts.dtype == problem.ts.dtype
    np.testing.assert_array_equal(straight.ts, TS)
    np.testing.assert_array_equal(straight.at(TS + 1).ts, TS + 1)
    plain = bjm.Problem(
        lambda m: m["rate"].value * TS.astype(np.float32),
        bjm.likelihoods.NormalLikelihood(0.1),
        np.ones(3),
        prior=None,
    )
    with pytest.raises(TypeError, match="`simulate` is a function"):
        plain.linearised(rate).at(TS)
