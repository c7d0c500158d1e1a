"""Models of a population, taken apart and put together."""

import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels import priors
from BayesianJaxModels._infer._nested.layout import Layout


def problem_of(subject):
    """The mean of three effects."""

    def mean(drawn):
        total = drawn["b"].value + jnp.sum(drawn["d"].value)
        return total + jnp.zeros(np.shape(subject.ts), total.dtype)

    noise = bjm.likelihoods.NormalLikelihood(1.0)
    return bjm.Problem(mean, noise, subject.observations, prior=None)


def population(effects=("['b']", "['d']")):
    subjects = [bjm.Subject([0.0], [1.0]), bjm.Subject([0.0, 1.0], [1.0, 2.0])]
    prior = bjm.Prior(default=priors.Normal())
    return bjm.Population(problem_of, subjects, prior=prior, effects=effects)


def model(**changes):
    values = {"a": np.zeros(2), "b": np.arange(2.0), "c": 7.0}
    values |= {"d": np.arange(4.0).reshape(2, 2) + 10}
    made = {name: bjm.make_parameter(x) for name, x in values.items()}
    return made | changes


def test_apart_and_together():
    layout = Layout.of(population(), model())
    assert layout.shared.tolist() == [0, 1, 4]
    assert layout.effects.tolist() == [[2, 5, 6], [3, 7, 8]]
    assert layout.effects_of(model()).tolist() == [[0, 10, 11], [1, 12, 13]]
    whole = layout.whole(jnp.arange(3.0), jnp.arange(6.0).reshape(2, 3))
    assert whole["a"].mean.tolist() == [0, 1]
    assert whole["b"].mean.tolist() == [0, 3]
    assert whole["d"].mean.tolist() == [[1, 2], [4, 5]]
    assert bjm.get_parameters(layout.rest)["['b']"].is_known
    assert not bjm.get_parameters(layout.rest)["['a']"].is_known


def test_known_parameters_have_no_place():
    known = {"a": bjm.DeterministicParameter(np.zeros(2))}
    layout = Layout.of(population(), model(**known))
    assert layout.shared.tolist() == [2]
    assert layout.effects.tolist() == [[0, 3, 4], [1, 5, 6]]
    known = model(b=bjm.DeterministicParameter(np.zeros(2)))
    with pytest.raises(ValueError, match=r"The effects `\['b'\]` are a `Determ"):
        Layout.of(population(), known)
    names = ("a", "c")
    known = {name: bjm.DeterministicParameter(np.zeros(2)) for name in names}
    with pytest.raises(ValueError, match="nothing but effects"):
        Layout.of(population(), model() | known)
