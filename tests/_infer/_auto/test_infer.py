"""infer: what it takes, and what suits few unknowns."""

import re

import jax
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import likelihoods
from tests._infer._auto.line import DATA, KEY, MODEL, PROBLEM, assert_exact, line


@pytest.fixture(scope="module")
def found():
    return bjm.infer(PROBLEM, MODEL, key=KEY)


def test_few_unknowns_get_weighted_draws_that_are_right(found):
    assert_exact(found)
    assert found.trustworthy
    assert found.complaints == ()
    assert found.model is found.posterior.model
    assert found.diagnostics is found.posterior.diagnostics
    names = [re.search(r"bjm\.(\w+)", step.call).group(1) for step in found.steps]
    assert names == ["map_estimate", "laplace", "importance"]


def test_its_calls_do_the_same(found):
    names = {"bjm": bjm, "problem": PROBLEM, "model": MODEL, "jax": jax}
    names["keys"] = random.split(KEY, 4)
    for step in found.steps:
        exec(step.call, names)
    np.testing.assert_array_equal(names["posterior"].draws, found.posterior.draws)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((MODEL, PROBLEM), {}, TypeError, "`problem` and `model` seem to be swapped"),
        ((line, MODEL), {}, TypeError, "`problem` must be a `Problem`.*function"),
        ((PROBLEM, MODEL), {"method": "vi"}, ValueError, "`method` must be one of"),
        ((PROBLEM, MODEL), {"num_starts": 0}, ValueError, "`num_starts`"),
        ((PROBLEM, 3), {}, TypeError, "`model` must be a model with parameters"),
        (
            (
                bjm.Problem(line, likelihoods.NormalLikelihood(1), DATA, prior=None),
                MODEL,
            ),
            {},
            ValueError,
            "`problem` has no prior",
        ),
        (
            (
                bjm.Problem(
                    line, likelihoods.PoissonLikelihood(), DATA, prior=PROBLEM.prior
                ),
                MODEL,
            ),
            {},
            ValueError,
            "whole number, 0 or more under a PoissonLikelihood",
        ),
    ],
    ids=lambda argument: None,
)
def test_a_wrong_argument_is_named(arguments, options, error, words):
    with pytest.raises(error, match=words):
        bjm.infer(*arguments, key=KEY, **options)
