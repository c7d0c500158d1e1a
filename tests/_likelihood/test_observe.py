"""What is observed of a prediction, and observations that cannot be."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm

from .cases import COUNTS, MEAN, VALUES

THREE, THREE_VALUES = np.array([0.5, 2.0, 7.25]), np.array([1.0, 2.0, 9.0])


def test_partial_observation():
    states = jnp.asarray(MEAN, jnp.float32)
    whole = bjm.likelihoods.NormalLikelihood(0.5).log_prob_each(states, VALUES)
    of_one = bjm.likelihoods.NormalLikelihood(0.5, observe=1).log_prob_each(
        states, VALUES[:, 1]
    )
    np.testing.assert_array_equal(of_one, whole[:, 1])
    swapped = bjm.likelihoods.NormalLikelihood(0.5, observe=(-1, 0))
    found = swapped.log_prob_each(states, VALUES[:, ::-1])
    np.testing.assert_array_equal(found, whole[:, ::-1])
    assert swapped.sample(random.key(0), states).shape == (3, 2)
    of_part = bjm.likelihoods.NormalLikelihood(
        0.5, observe=lambda state: state["x"][:, 0]
    )
    found = of_part.log_prob({"x": states, "v": None}, VALUES[:, 0])
    np.testing.assert_allclose(found, whole[:, 0].sum(), rtol=1e-6)


def test_observations_that_only_a_compiled_function_knows():
    """Impossible ones have the density minus infinity; known ones are refused."""

    @jax.jit
    @jax.vmap
    def run(observation, mask):
        def log_prob(prediction):
            return bjm.likelihoods.LogNormalLikelihood(0.5).log_prob(
                prediction, observation, mask
            )

        return jax.value_and_grad(log_prob)(jnp.asarray(THREE, jnp.float32))

    observations = jnp.tile(jnp.float32(THREE_VALUES), (4, 1))
    observations = observations.at[1:, 1].set(jnp.array([0.0, np.nan, np.nan]))
    masks = jnp.array([[True] * 3] * 3 + [[True, False, True]])
    values, slopes = run(observations, masks)
    assert "callback" not in str(jax.make_jaxpr(run)(observations, masks))
    np.testing.assert_array_equal(np.isfinite(values), [True, False, False, True])
    assert np.all(values[1:3] == -np.inf)
    assert np.all(np.isfinite(slopes))
    assert np.all(slopes[1:, 1] == 0)


def test_mistakes_are_named():
    prediction = jnp.asarray(MEAN, jnp.float32)
    normal = bjm.likelihoods.NormalLikelihood(0.5)
    for likelihood, value, words in [
        (normal, np.nan, "finite"),
        (normal, np.inf, "finite"),
        (bjm.likelihoods.LogNormalLikelihood(0.5), 0.0, "finite and positive"),
        (bjm.likelihoods.PoissonLikelihood(), -1.0, "a whole number, 0 or more"),
        (
            bjm.likelihoods.NegativeBinomialLikelihood(2.0),
            2.5,
            "a whole number, 0 or more",
        ),
    ]:
        bad = np.where(MEAN == 30, value, COUNTS + 1)
        message = f"`observation` must be {words} wherever it counts"
        with pytest.raises(ValueError, match=message):
            likelihood.log_prob(prediction, bad)
        with pytest.raises(ValueError, match=message):  # known while tracing
            jax.jit(lambda p, lk=likelihood, y=bad: lk.log_prob(p, y))(prediction)
    with pytest.raises(ValueError, match=r"\(3,\), but .* has \(3, 2\)\. Nothing is"):
        normal.log_prob(prediction, VALUES[:, 0])
    for mask in (np.ones(2, bool), np.ones((3, 1), bool), np.ones((3, 2))):
        with pytest.raises(ValueError, match=r"`mask` has shape .* leading axes"):
            normal.log_prob(prediction, VALUES, mask)
    with pytest.raises(ValueError, match=r"`observe` is 2, .* 2 entries"):
        bjm.likelihoods.NormalLikelihood(0.5, observe=2).log_prob(
            prediction, VALUES[:, 0]
        )
    for observe in ("x", 1.0, True, (), [0]):
        with pytest.raises(TypeError, match="`observe` must be an index"):
            bjm.likelihoods.PoissonLikelihood(observe)
    with pytest.raises(TypeError, match="`observe` holds arrays"):
        bjm.likelihoods.PoissonLikelihood(eqx.nn.Linear(2, 2, key=random.key(0)))
