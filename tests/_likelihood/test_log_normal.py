import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm


def test_its_logarithm_is_normal(key, x64):
    scale = np.array([0.5, 2.0, 1e-3])
    prediction, observation = (
        jnp.array([8.0, 1e-200, 1e200]),
        np.array([7, 1e-201, 1.1e200]),
    )
    noise = {"scale": jnp.asarray(scale)}
    log_normal = bjm.likelihoods.LogNormalLikelihood(scale)
    normal = bjm.likelihoods.NormalLikelihood(scale)
    logs = jnp.log(prediction), np.log(observation)
    expected = normal.log_prob_each(*logs) - np.log(observation)
    found = log_normal.log_prob_each(prediction, observation)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    for of_tail in ("log_cdf", "log_survival"):
        found = getattr(log_normal, of_tail)(
            prediction, jnp.asarray(observation), noise
        )
        expected = getattr(normal, of_tail)(logs[0], jnp.asarray(logs[1]), noise)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    found = jnp.log(log_normal.sample(key, prediction))
    np.testing.assert_allclose(found, normal.sample(key, logs[0]), rtol=1e-13)


def test_all_lies_above_nothing():
    """And so no probability is at zero or below, with slopes of zero."""
    likelihood = bjm.likelihoods.LogNormalLikelihood(0.5)
    value, noise = jnp.array([0.0, -2.0]), {"scale": jnp.full(2, 0.5)}
    for of_tail, expected in (
        (likelihood.log_cdf, -np.inf),
        (likelihood.log_survival, 0),
    ):
        found, pull = jax.vjp(lambda p, f=of_tail: f(p, value, noise), jnp.ones(2))
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(pull(jnp.ones(2))[0], 0)


def test_a_median_of_none_is_impossible():
    likelihood = bjm.likelihoods.LogNormalLikelihood(0.5)
    each = likelihood.log_prob_each(jnp.array([0.0, -1.0, 2.0]), np.ones(3))
    np.testing.assert_array_equal(np.isfinite(each), [False, False, True])
    with pytest.raises(ValueError, match="`observation` must be finite and positive"):
        likelihood.log_prob_each(jnp.ones(1), np.zeros(1))
