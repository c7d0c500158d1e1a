import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import DeterministicParameter

MEAN = jnp.array([0.3, -1.0])
VALUE = jnp.array([0.5, 0.4])


def test_deterministic_is_a_point_mass(key):
    parameter = DeterministicParameter(MEAN)
    np.testing.assert_array_equal(parameter.sample(key), MEAN)
    np.testing.assert_array_equal(parameter.stdv, jnp.zeros(2))
    assert parameter.entropy() == 0
    assert parameter.log_prob(MEAN) == 0
    assert parameter.log_prob(VALUE) == -jnp.inf


def test_a_point_has_no_width_no_noise_and_no_divergence():
    parameter = DeterministicParameter.from_value(np.array([[1, 2], [3, 4]]), 0.5)
    assert parameter.is_known
    assert parameter.group == "deterministic"
    assert parameter.noise_size == 0
    np.testing.assert_array_equal(parameter.root, np.zeros((4, 4)))
    np.testing.assert_array_equal(parameter.displaced(jnp.zeros(0)), parameter.mean)
    assert parameter.with_stdv(3.0) is parameter
    with pytest.raises(NotImplementedError, match="DeterministicParameter from a norm"):
        parameter.kl_to_normal(parameter.mean, parameter.mean)


def test_one_entry_elsewhere_has_no_mass():
    nearly = MEAN.at[1].set(jnp.nextafter(MEAN[1], 0))
    assert DeterministicParameter(MEAN).log_prob(nearly) == -jnp.inf
    assert DeterministicParameter(jnp.zeros((0,))).log_prob(jnp.zeros((0,))) == 0
    with pytest.raises(TypeError, match="must be a real number .* got None"):
        DeterministicParameter(None)
