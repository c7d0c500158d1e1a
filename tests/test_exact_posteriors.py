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
    elbo,
    make_parameter,
)

REFERENCE = json.loads(
    (Path(__file__).parent / "references" / "blr_formaldehyde.json").read_text()
)


@partial(jax.jit, static_argnums=0)
def fit(log_density, model, key):
    """Maximise the ELBO with a falling step.

    Of a quadratic density Sobol draws say the bound without error, whatever the key.
    """
    num_steps = 2_000
    optimiser = optax.adam(optax.cosine_decay_schedule(0.01, num_steps))

    def loss(model, key):
        settings = {"prior": None, "num_samples": 8, "draws": "sobol"}
        return -elbo(model, log_density, key=key, **settings).value

    def step(carry, i):
        model, state = carry
        gradient = jax.grad(loss)(model, random.fold_in(key, i))
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(model, updates), state), None

    with jax.numpy_dtype_promotion("standard"):
        carry = (model, optimiser.init(model))
        (model, _), _ = jax.lax.scan(step, carry, jnp.arange(num_steps))
    return model


def formaldehyde_log_density(drawn):
    weights = drawn.mean
    carb, optden = jnp.array(REFERENCE["carb"]), jnp.array(REFERENCE["optden"])
    residuals = optden - weights[0] - weights[1] * carb
    return -0.5 * jnp.sum((residuals / REFERENCE["sigma"]) ** 2)


def conjugate_log_density(drawn):
    mean = drawn.mean
    case = {
        name: jnp.array(value)
        for name, value in REFERENCE["conjugate_normal"].items()
        if name != "source"
    }
    prior = case["prior_precision"] * (mean - case["prior_mean"]) ** 2
    likelihood = case["noise_precision"] * (case["data"] - mean) ** 2
    return -0.5 * (prior.sum() + likelihood.sum())


def assert_exact(parameter, mean, sd, rtol):
    np.testing.assert_allclose(parameter.stdv, sd, rtol=rtol)
    # A mean is as good as it is close in units of the standard deviation.
    z = (np.asarray(parameter.mean, float) - np.array(mean)) / np.array(sd)
    np.testing.assert_allclose(z, 0, atol=rtol)


@pytest.mark.parametrize(
    ("param_type", "sd"),
    [
        (GaussianParameter, REFERENCE["mean_field_optimum"]["sd"]),
        (MultivariateGaussianParameter, REFERENCE["exact"]["sd"]),
    ],
    ids=["mean field", "full covariance"],
)
def test_linear_regression(param_type, sd, key, x64):
    start = make_parameter([0.1, 0.5], param_type=param_type, init_raw_stdv=0.2)
    fitted = fit(formaldehyde_log_density, start, key)
    assert_exact(fitted, REFERENCE["exact"]["mean"], sd, 1e-10)
    if param_type is MultivariateGaussianParameter:
        correlation = fitted.covariance[0, 1] / jnp.prod(fitted.stdv)
        expected = REFERENCE["exact"]["correlation"]
        np.testing.assert_allclose(correlation, expected, rtol=1e-10)


def test_conjugate_normal_in_single_precision(key):
    case = REFERENCE["conjugate_normal"]
    start = make_parameter([0.0, 0.0], init_raw_stdv=0.2)
    fitted = fit(conjugate_log_density, start, key)
    sd = np.array(case["posterior_precision"]) ** -0.5
    assert_exact(fitted, case["posterior_mean"], sd, 2e-6)
