"""Nested Laplace: exact where all is normal, the mode of the marginal elsewhere."""

import warnings

import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels import priors
from tests._infer._nested.lines import problem_of, subjects_of


def test_is_exact_where_all_is_normal(lines, fit):
    mean, stdv, log_evidence = lines[-1]
    assert np.allclose(fit.shared.log_evidence, log_evidence, atol=1e-3)
    shared = np.asarray(fit.shared.model.typical.mean)
    assert np.all(abs(shared - mean[:2]) < 0.01 * stdv[:2])
    assert np.allclose(fit.shared.stdv, stdv[:2], rtol=0.01)
    effects = np.ravel(fit.model.effects.mean)
    assert np.all(abs(effects - mean[2:]) < 0.01 * stdv[2:])


def test_widths_between_subjects_do_not_run_to_zero(key):
    subjects = subjects_of(7)
    around = priors.Normal(lambda m: m["typical"].value, lambda m: m["between"].value)
    prior = bjm.Prior(
        {
            "['typical']": priors.Normal(0.0, 2.0),
            "['between']": priors.HalfNormal(1.0),
            "['effects']": around,
        }
    )

    def of_dictionary(subject):
        class View:
            pass

        problem = problem_of(subject)

        def simulate(drawn):
            view = View()
            view.effects = drawn["effects"]
            return problem.simulate(view)

        return bjm.Problem(
            simulate, problem.likelihood, subject.observations, prior=None
        )

    population = bjm.Population(
        of_dictionary, subjects, prior=prior, effects="['effects']"
    )
    model = {
        "typical": bjm.make_parameter(np.zeros(2)),
        "between": bjm.make_parameter(np.full(2, 0.5), support="positive"),
        "effects": bjm.make_parameter(np.zeros((7, 2))),
    }
    fit = bjm.nested_laplace(population, model, key=key, num_starts=2)
    between = np.asarray(fit.shared.model["between"].value)
    assert np.all(between > 0.1)
    assert np.all(between < 1.5)


def test_says_what_is_wrong(lines):
    _, population, model, _ = lines
    with pytest.raises(TypeError, match="takes a `Population`, but got a"):
        bjm.nested_laplace(lambda drawn: 0.0, model)
    with pytest.raises(ValueError, match="`num_starts` must be at least 1"):
        bjm.nested_laplace(population, model, num_starts=0)
    with pytest.raises(TypeError, match="swapped"):
        bjm.nested_laplace(model, population)


def test_the_mode_of_all_together_is_said_to_be_worthless(key):
    model = {
        "width": bjm.make_parameter(1.0, support="positive"),
        "effects": bjm.make_parameter(np.zeros(2)),
    }
    noise = bjm.likelihoods.NormalLikelihood(1.0)

    def problem(sd, mean=0.0):
        rules = {"['effects']": priors.Normal(mean, sd)}
        prior = bjm.Prior(rules, default=priors.HalfNormal(1.0))
        return bjm.Problem(
            lambda m: m["effects"].value, noise, np.array([0.0, 1.0]), prior=prior
        )

    wide = problem(lambda m: m["width"].value)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        bjm.map_estimate(wide, model, key=key, num_starts=2)
    assert "worth nothing. Take `nested_laplace` of a" in str(said[0].message)
    around = problem(1.0, lambda m: m["width"].value)
    assert not around.mode_is_worthless  # whose width is known
