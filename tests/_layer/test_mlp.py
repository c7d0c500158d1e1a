import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from BayesianJaxModels import (
    BayesianMLP,
    sample_all_parameters,
)


def test_mlp_is_its_layers(key):
    mlp = BayesianMLP(3, 2, 5, 2, activation=jax.nn.relu, key=key)
    shapes = [p.shape for p in mlp.get_parameters().values()]
    assert shapes == [(5, 3), (5,), (5, 5), (5,), (2, 5), (2,)]
    x = random.normal(key, (3,))
    drawn = sample_all_parameters(mlp, key)
    expected = np.asarray(x)
    for i, layer in enumerate(drawn.layers):
        expected = np.asarray(layer.W.mean) @ expected + np.asarray(layer.b.mean)
        expected = expected if i == 2 else np.maximum(expected, 0)
    np.testing.assert_allclose(mlp(x, key=key), expected, rtol=1e-5)
    assert BayesianMLP(3, 2, 5, 0, key=key)(x, sample=False).shape == (2,)


def test_layers_of_an_mlp_start_different(key):
    mlp = BayesianMLP(2, 2, 2, 2, key=key)
    assert jnp.all(mlp.layers[0].W.mean != mlp.layers[1].W.mean)


def test_sampling_without_a_key_is_an_error(key):
    with pytest.raises(
        ValueError, match="key is required: `key` is None, but `sample=True`.*Pass"
    ):
        BayesianMLP(3, 2, 2, 1, key=key)(jnp.ones(3), key=None, sample=True)
    with pytest.raises(
        ValueError, match="key is required: `key` is None, but `sample=True`.*Pass"
    ):
        BayesianMLP(3, 2, 2, 1, key=key)(jnp.ones(3))


@pytest.mark.parametrize("shape", [(2,), (3, 2), ()])
def test_inputs_of_the_wrong_size_are_errors(shape, key):
    with pytest.raises(ValueError, match=r"`x` has shape .*, but `in_features` is 3"):
        BayesianMLP(3, 2, 2, 1, key=key)(jnp.ones(shape), sample=False)


def test_bad_sizes_are_errors(key):
    with pytest.raises(
        ValueError, match="`out_features` must be at least 1, but got -1"
    ):
        BayesianMLP(2, -1, 2, 1, key=key)
    with pytest.raises(ValueError, match="`width` must be at least 1, but got 0"):
        BayesianMLP(2, 2, 0, 1, key=key)
    with pytest.raises(ValueError, match="`depth` must be at least 0, but got -1"):
        BayesianMLP(2, 2, 2, -1, key=key)


def test_settings_reach_every_layer(key):
    mlp = BayesianMLP(2, 1, 3, 1, use_bias=False, init_raw_stdv=0.5, key=key)
    for layer in mlp.layers:
        assert layer.b is None
        np.testing.assert_array_equal(layer.W.raw_stdv, 0.5)
    known = BayesianMLP(2, 1, 3, 1, bayesian=False, bayesian_bias=False, key=key)
    assert all(parameter.is_known for parameter in known.get_parameters().values())
    x = jnp.ones(2)
    np.testing.assert_array_equal(known(x, key=key), known(x, sample=False))
