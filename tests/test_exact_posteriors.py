"""Gradient descent on the ELBO reaches posteriors that are known exactly."""

import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random

from BayesianJaxModels import (
    GaussianParameter,
    MultivariateGaussianParameter,
    entropy,
    make_parameter,
    sample_all_parameters,
)

REFERENCE = json.loads(
    (Path(__file__).parent / "references" / "blr_formaldehyde.json").read_text()
)


@partial(jax.jit, static_argnums=0)
def fit(log_density, model, key):
    """Maximise E_q[log density] + H(q) with drawn gradients and a falling step."""
    num_steps = 4_000
    schedule = optax.cosine_decay_schedule(0.01, num_steps)
    optimiser = optax.adam(schedule)

    def loss(model, key):
        # A draw and its mirror image: the mean of the gradient's noise cancels.
        draws = jax.vmap(partial(sample_all_parameters, model))(random.split(key, 128))
        mirrored = jax.tree.map(lambda mean, drawn: 2 * mean - drawn, model, draws)
        values = jnp.concatenate([draws.mean, mirrored.mean])
        return -jnp.mean(jax.vmap(log_density)(values)) - entropy(model)

    def step(carry, i):
        model, state = carry
        gradient = jax.grad(loss)(model, random.fold_in(key, i))
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(model, updates), state), None

    with jax.numpy_dtype_promotion("standard"):
        carry = (model, optimiser.init(model))
        (model, _), _ = jax.lax.scan(step, carry, jnp.arange(num_steps))
    return model


def formaldehyde_log_density(weights):
    carb, optden = jnp.array(REFERENCE["carb"]), jnp.array(REFERENCE["optden"])
    residuals = optden - weights[0] - weights[1] * carb
    return -0.5 * jnp.sum((residuals / REFERENCE["sigma"]) ** 2)


def conjugate_log_density(mean):
    case = {
        name: jnp.array(value)
        for name, value in REFERENCE["conjugate_normal"].items()
        if name != "source"
    }
    prior = case["prior_precision"] * (mean - case["prior_mean"]) ** 2
    likelihood = case["noise_precision"] * (case["data"] - mean) ** 2
    return -0.5 * (prior.sum() + likelihood.sum())


def assert_within_two_percent(parameter, mean, sd):
    np.testing.assert_allclose(parameter.stdv, sd, rtol=0.02)
    # A mean is as good as it is close in units of the standard deviation.
    assert np.all(np.abs(parameter.mean - np.array(mean)) < 0.02 * np.array(sd))


@pytest.mark.parametrize(
    ("param_type", "sd"),
    [
        (GaussianParameter, REFERENCE["mean_field_optimum"]["sd"]),
        (MultivariateGaussianParameter, REFERENCE["exact"]["sd"]),
    ],
    ids=["mean field", "full covariance"],
)
def test_linear_regression(param_type, sd, key):
    start = make_parameter([0.1, 0.5], param_type=param_type, init_raw_stdv=0.2)
    fitted = fit(formaldehyde_log_density, start, key)
    assert_within_two_percent(fitted, REFERENCE["exact"]["mean"], sd)
    if param_type is MultivariateGaussianParameter:
        correlation = fitted.covariance[0, 1] / jnp.prod(fitted.stdv)
        expected = REFERENCE["exact"]["correlation"]
        np.testing.assert_allclose(correlation, expected, rtol=0.02)


def test_conjugate_normal(key):
    case = REFERENCE["conjugate_normal"]
    start = make_parameter([0.0, 0.0], init_raw_stdv=0.2)
    fitted = fit(conjugate_log_density, start, key)
    sd = np.array(case["posterior_precision"]) ** -0.5
    assert_within_two_percent(fitted, case["posterior_mean"], sd)
