"""A posterior made of draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from tests._infer.targets import banana_model


def test_draws_by_weight_and_every_draw_once(key):
    model = banana_model()
    draws = random.normal(key, (64, 2))
    log_weights = jnp.where(jnp.arange(64) < 32, jnp.log(3.0), 0.0)
    posterior = bjm.DrawsPosterior(model, draws, log_weights)
    np.testing.assert_allclose(posterior.weights.sum(), 1, rtol=1e-6)
    picked = bjm.map_posterior(
        lambda drawn: drawn.mean, posterior, key=key, num_samples=20_000
    )
    in_first = np.isin(np.asarray(picked), np.asarray(draws)[:32]).all(1).mean()
    assert abs(in_first - 0.75) < 4 * (0.75 * 0.25 / 20_000) ** 0.5
    every = bjm.map_posterior(
        lambda drawn: drawn.mean, posterior, key=key, num_samples=None
    )
    np.testing.assert_array_equal(every, draws)
    np.testing.assert_array_equal(
        jax.jit(
            lambda posterior: bjm.map_posterior_pure(
                lambda drawn: drawn.mean, posterior, key=key, num_samples=None
            )
        )(posterior),
        draws,
    )
    with pytest.raises(ValueError, match="Say how many draws"):
        bjm.map_posterior(lambda m: m.mean, model, key=key, num_samples=None)
    with pytest.raises(ValueError, match=r"`draws` has shape \(64, 3\)"):
        bjm.DrawsPosterior(model, jnp.ones((64, 3)))
    with pytest.raises(ValueError, match=r"`log_weights` has shape \(3,\)"):
        bjm.DrawsPosterior(model, draws, jnp.ones(3))
