"""What every parameter does."""

import jax.numpy as jnp
import pytest

from BayesianJaxModels import (
    DeterministicParameter,
    GaussianParameter,
    LaplacianParameter,
    MultivariateGaussianParameter,
)

MEAN = jnp.array([0.3, -1.0])
VALUE = jnp.array([0.5, 0.4])
RAW = jnp.array([0.5, 0.7])


@pytest.mark.parametrize(
    "parameter",
    [
        GaussianParameter(MEAN, RAW),
        LaplacianParameter(MEAN, RAW),
        MultivariateGaussianParameter(MEAN, RAW, jnp.zeros(1)),
        DeterministicParameter(MEAN),
    ],
    ids=lambda parameter: type(parameter).__name__,
)
def test_log_prob_broadcasts_nothing(parameter):
    with pytest.raises(ValueError, match=r"`value` has shape \(\), but \(2,\) was"):
        parameter.log_prob(0.5)
