"""Chains in the coordinates of a problem, and draws in the units of its parameters."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels._infer._nuts.coordinates import (
    into_coordinates,
    out_of_coordinates,
)
from tests._infer._nested.lines import exact, population_of, subjects_of


@pytest.fixture(scope="module")
def lines():
    subjects = subjects_of(4)
    population, model = population_of(subjects)
    counted = bjm.noncentred(population, "effects")
    return population, model, counted, exact(subjects)


def test_a_function_has_no_coordinates(lines):
    _, model, _, _ = lines
    assert into_coordinates(len, model, random.key(0)) is model
    draws = np.ones((2, 3))
    assert out_of_coordinates(len, model, draws) is draws


def test_starts_are_moved(lines):
    _, model, counted, _ = lines
    moved = into_coordinates(counted, model, random.key(0))
    assert np.allclose(moved.effects.mean, 0)
    draws = np.ones((5, 10))
    draws[:, 2:] = 1.8, 1.3, *[1.0] * 6
    weights = np.log(np.arange(1.0, 6.0))
    posterior = bjm.DrawsPosterior(
        model, jnp.asarray(draws, jnp.float32), jnp.asarray(weights, jnp.float32)
    )
    found = into_coordinates(counted, posterior, random.key(0))
    assert np.allclose(found.draws[0, 2:4], 1, atol=1e-5)
    assert np.allclose(found.weights, posterior.weights)
    back = out_of_coordinates(counted, model, np.asarray(found.draws)[None])
    assert np.allclose(back, draws, atol=1e-5)


def test_chains_are_exact(lines):
    population, model, counted, (mean, stdv, _) = lines
    fit = bjm.nested_laplace(population, model)
    found = bjm.nuts(
        counted, fit, key=random.key(0), num_chains=2, num_warmup=200, num_samples=500
    )
    away = (np.asarray(found.flatten_means()) - mean) / stdv
    assert np.max(abs(away)) < 0.15
    assert np.allclose(found.flatten_stdvs(), stdv, rtol=0.12)
    assert bjm.get_parameters(found.model)["effects"].shape == (4, 2)
