"""What a problem prints, and what it says to a posterior or a fit."""

import equinox as eqx
import jax
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import LogNormal

MODEL = {"rate": bjm.make_parameter(0.5, support="positive")}


def decay(model):
    return model["rate"].value * np.ones((3, 2))


def problem_of(**words):
    words = {"prior": bjm.Prior({"['rate']": LogNormal(0.0, 1.0)})} | words
    return bjm.Problem(decay, NormalLikelihood(0.1), np.ones((3, 2)), **words)


def test_it_prints_its_parts():
    assert str(problem_of()).splitlines() == [
        "Problem: observations (3, 2), likelihood NormalLikelihood",
        "  simulate: function decay; prior: ['rate'] ~ LogNormal",
    ]
    masked = problem_of(mask=np.array([True, False, True]), prior=None)
    assert "(3, 2), 4 of them count, likelihood" in str(masked)
    assert str(masked).endswith("; no prior")
    both = {"prey": np.ones((3, 2)), "lynx": np.ones((3, 2))}
    series = bjm.Problem(decay, lambda m: NormalLikelihood(1.0), both, prior=None)
    assert "prey: observations (3, 2), likelihood a function of the" in str(series)
    assert str(masked + series) == f"{masked}\n+ {series}"
    printed = []
    eqx.filter_eval_shape(lambda problem: printed.append(str(problem)), masked)
    assert printed[0].startswith("Problem(")


def test_it_refuses_posteriors_and_fits_by_name():
    problem, joint = problem_of(), bjm.JointPosterior.full(MODEL, 0.1)
    mode = bjm.map_estimate(problem, MODEL, key=jax.random.key(0), num_starts=2)
    for given, message in (
        (mode, "takes a model, and not a MAPEstimate.* Pass its `model`"),
        (joint, "does not know the answer for a JointPosterior"),
    ):
        for ask in (problem, problem.log_prior, problem.outcome, problem.check):
            with pytest.raises(TypeError, match=message):
                ask(given)
    np.testing.assert_allclose(problem(mode.model), mode.log_density, rtol=1e-6)
