"""Posteriors for other subjects than those that were seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import priors
from BayesianJaxModels._posterior import OfSubjects
from tests._infer._nested.lines import BETWEEN, population_of, problem_of, subjects_of

SUBJECTS = subjects_of(3)


def posterior_of(model, n=2_000):
    values = np.random.default_rng(0).normal(size=(n, 8))
    values[:, 2:] += np.arange(6.0)
    weights = np.log(np.linspace(1.0, 2.0, n))
    return bjm.DrawsPosterior(
        model, jnp.asarray(values, jnp.float32), jnp.asarray(weights, jnp.float32)
    )


def test_seen_rows_are_kept_and_new_ones_drawn():
    population, model = population_of(SUBJECTS)
    posterior = posterior_of(model)
    found = OfSubjects.of(posterior, population, [2, -1, 0], random.key(3))
    assert found.model.effects.shape == (3, 2)
    assert found.num_items == posterior.num_items
    assert found.chains == posterior.chains
    assert np.array_equal(found.item_weights, posterior.item_weights)
    drawn = jax.jit(jax.vmap(found.item))(np.arange(2_000))
    whole = jax.jit(jax.vmap(posterior.item))(np.arange(2_000))
    assert np.array_equal(drawn.effects.mean[:, 0], whole.effects.mean[:, 2])
    assert np.array_equal(drawn.effects.mean[:, 2], whole.effects.mean[:, 0])
    away = np.asarray(drawn.effects.mean[:, 1] - whole.typical.mean)
    assert np.allclose(away.std(axis=0), BETWEEN, rtol=0.07)
    assert np.allclose(away.mean(axis=0), 0, atol=0.08)
    one = found.draw(random.key(0))
    assert one.effects.mean.shape == (3, 2)
    with pytest.raises(TypeError, match="OfSubjects"):
        bjm.get_parameters(found)


def test_a_prior_of_those_seen_alone_is_refused():
    around = priors.Normal(np.zeros((3, 2)), 1.0)
    prior = bjm.Prior({"typical": priors.Normal(), "effects": around})
    population = bjm.Population(problem_of, SUBJECTS, prior=prior, effects="effects")
    _, model = population_of(SUBJECTS)
    with pytest.raises(ValueError, match="prior of the effects does not fit new subj"):
        OfSubjects.of(posterior_of(model), population, [0, -1], random.key(0))


def test_predictions_for_seen_and_new(key):
    population, model = population_of(SUBJECTS)
    others = [bjm.Subject([0.0, 1.0, 9.0], name="2"), bjm.Subject([0.0, 2.0])]
    found = bjm.predict(
        population, posterior_of(model), subjects=others, key=key, num_samples=500
    )
    assert found.observables.shape == (500, 2, 3)
    assert found.observed is None
    assert found.observables[:, 0, 0].std() < found.observables[:, 1, 0].std()
    problem = problem_of(SUBJECTS[0])
    with pytest.raises(NotImplementedError, match="`subjects` are those of a `Popul"):
        bjm.predict(problem, model, subjects=others, key=key, num_samples=5)
