import jax.numpy as jnp
import numpy as np

from BayesianJaxModels import (
    DeterministicParameter,
)

MEAN = jnp.array([0.3, -1.0])
VALUE = jnp.array([0.5, 0.4])


def test_deterministic_is_a_point_mass(key):
    parameter = DeterministicParameter(MEAN)
    np.testing.assert_array_equal(parameter.sample(key), MEAN)
    np.testing.assert_array_equal(parameter.stdv, jnp.zeros(2))
    assert parameter.entropy() == 0
    assert parameter.log_prob(MEAN) == 0
    assert parameter.log_prob(VALUE) == -jnp.inf
