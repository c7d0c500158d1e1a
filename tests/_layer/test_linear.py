import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from BayesianJaxModels import (
    BayesianLinear,
    DeterministicParameter,
    GaussianParameter,
    LaplacianParameter,
    sample_all_parameters,
)


def test_linear_is_the_affine_map_of_its_draw(key):
    layer = BayesianLinear(3, 2, init_raw_stdv=0.5, key=key)
    x = random.normal(key, (4, 5, 3))
    drawn = sample_all_parameters(layer, key)
    expected = np.einsum("...i,oi->...o", x, drawn.W.mean) + drawn.b.mean
    np.testing.assert_allclose(layer(x, key=key), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(drawn(x, sample=False), expected, rtol=1e-5, atol=1e-6)
    expected = np.einsum("...i,oi->...o", x, layer.W.mean)
    np.testing.assert_allclose(
        layer(x, key=None, sample=False), expected, rtol=1e-5, atol=1e-6
    )


def test_linear_takes_numpy_and_integers(key):
    layer = BayesianLinear(3, 2, key=key)
    with jax.numpy_dtype_promotion("standard"):
        of_integers = layer(np.ones((4, 3), int), sample=False)
    of_floats = layer(np.ones((4, 3), np.float32), sample=False)
    np.testing.assert_array_equal(of_integers, of_floats)


def test_linear_starts_xavier_uniform(key):
    means = BayesianLinear(200, 100, key=key).W.mean
    limit = (6 / 300) ** 0.5
    assert means.shape == (100, 200)
    assert 0.99 * limit < jnp.abs(means).max() <= limit
    np.testing.assert_allclose(means.std(), limit / 3**0.5, rtol=0.02)


@pytest.mark.parametrize(
    ("settings", "type_of_w", "type_of_b"),
    [
        ({}, GaussianParameter, GaussianParameter),
        ({"use_bias": False}, GaussianParameter, type(None)),
        ({"bayesian_bias": False}, GaussianParameter, DeterministicParameter),
        ({"bayesian": False}, DeterministicParameter, GaussianParameter),
        (
            {"bayesian": False, "bayesian_bias": False},
            DeterministicParameter,
            DeterministicParameter,
        ),
        (
            {"param_type": LaplacianParameter, "init_raw_stdv": 0.5},
            LaplacianParameter,
            LaplacianParameter,
        ),
    ],
    ids=str,
)
def test_linear_settings(settings, type_of_w, type_of_b, key):
    layer = BayesianLinear(2, 2, key=key, **settings)
    assert type(layer.W) is type_of_w
    assert type(layer.b) is type_of_b
    if "init_raw_stdv" in settings:
        np.testing.assert_array_equal(layer.W.raw_scale, 0.5)


def test_sampling_without_a_key_is_an_error(key):
    with pytest.raises(
        ValueError, match="key is required: `key` is None, but `sample=True`.*Pass"
    ):
        BayesianLinear(3, 2, key=key)(jnp.ones(3), key=None, sample=True)
    with pytest.raises(
        ValueError, match="key is required: `key` is None, but `sample=True`.*Pass"
    ):
        BayesianLinear(3, 2, key=key)(jnp.ones(3))


@pytest.mark.parametrize("shape", [(2,), (3, 2), ()])
def test_inputs_of_the_wrong_size_are_errors(shape, key):
    with pytest.raises(ValueError, match=r"`x` has shape .*, but `in_features` is 3"):
        BayesianLinear(3, 2, key=key)(jnp.ones(shape), sample=False)


def test_bad_sizes_are_errors(key):
    with pytest.raises(ValueError, match="`in_features` must be at least 1, but got 0"):
        BayesianLinear(0, 2, key=key)


@pytest.mark.parametrize("size", [1, 4, 5])
def test_a_vector_gives_what_it_gives_as_a_row(size, key):
    """By a sum of columns where there are few, and by a product above four."""
    layer = BayesianLinear(size, 3, key=key)
    x = random.normal(key, (size,))
    row = layer(x[None], sample=False)[0]
    np.testing.assert_allclose(layer(x, sample=False), row, rtol=1e-6, atol=1e-6)
    expected = np.asarray(layer.W.mean, float) @ np.asarray(x, float)
    np.testing.assert_allclose(layer(x, sample=False), expected, rtol=1e-5, atol=1e-6)
