"""A problem of one's own."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels._problem import Outcome


class Counted(bjm.AbstractProblem):
    """Whose prior is a function, and whose data are one number."""

    prior: object
    observations: float

    def outcome(self, drawn, key=None):
        of_noise = None if key is None else drawn.value + random.normal(key)
        value = -((drawn.value - self.observations) ** 2) / 2
        return Outcome(drawn.value, drawn.value, value, of_noise)

    def at(self, ts):
        raise TypeError("no times")

    def check(self, model):
        pass


def test_a_problem_of_ones_own_goes_through_the_engines():
    problem = Counted(lambda drawn: -(drawn.value**2) / 2, 2.0)
    model = bjm.make_parameter(0.0, stdv=1.0)
    assert problem(model) == -2
    assert problem.log_prior(model) == 0
    assert problem.in_forward_mode() is problem
    assert (problem + problem).log_likelihood(model) == -4
    found = bjm.infer(problem, model, key=random.key(0))
    np.testing.assert_allclose(bjm.flatten_means(found), [1.0], atol=0.03)
    np.testing.assert_allclose(bjm.flatten_stdvs(found), [0.5**0.5], rtol=0.03)


def test_without_a_prior_it_is_the_likelihood():
    problem = Counted(None, 2.0)
    model = bjm.make_parameter(0.0)
    assert problem(model) == problem.log_likelihood(model) == -2
    assert problem.log_prior(model).dtype == jnp.float32
    with pytest.raises(ValueError, match="`problem` has no prior"):
        bjm.infer(problem, model, key=random.key(0))
