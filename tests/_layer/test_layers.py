import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import (
    Bayesian,
    BayesianLinear,
    BayesianMLP,
    DeterministicParameter,
    GaussianParameter,
    LaplacianParameter,
    Module,
    make_parameter,
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


LAYERS = {
    "BayesianLinear": lambda key: BayesianLinear(3, 2, key=key),
    "BayesianMLP": lambda key: BayesianMLP(3, 2, 2, 1, key=key),
    "Bayesian": lambda key: Bayesian(eqx.nn.Linear(3, 2, key=key)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_sampling_without_a_key_is_an_error(name, key):
    with pytest.raises(
        ValueError, match="key is required: `key` is None, but `sample=True`.*Pass"
    ):
        LAYERS[name](key)(jnp.ones(3), key=None, sample=True)
    with pytest.raises(
        ValueError, match="key is required: `key` is None, but `sample=True`.*Pass"
    ):
        LAYERS[name](key)(jnp.ones(3))


@pytest.mark.parametrize("name", ["BayesianLinear", "BayesianMLP"])
@pytest.mark.parametrize("shape", [(2,), (3, 2), ()])
def test_inputs_of_the_wrong_size_are_errors(name, shape, key):
    with pytest.raises(ValueError, match=r"`x` has shape .*, but `in_features` is 3"):
        LAYERS[name](key)(jnp.ones(shape), sample=False)


def test_bad_sizes_are_errors(key):
    with pytest.raises(ValueError, match="`in_features` must be at least 1, but got 0"):
        BayesianLinear(0, 2, key=key)
    with pytest.raises(
        ValueError, match="`out_features` must be at least 1, but got -1"
    ):
        BayesianMLP(2, -1, 2, 1, key=key)
    with pytest.raises(ValueError, match="`width` must be at least 1, but got 0"):
        BayesianMLP(2, 2, 0, 1, key=key)
    with pytest.raises(ValueError, match="`depth` must be at least 0, but got -1"):
        BayesianMLP(2, 2, 2, -1, key=key)


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (lambda key: eqx.nn.Linear(3, 2, key=key), (jnp.ones(3),)),
        (lambda key: eqx.nn.MLP(3, 2, 4, 2, key=key), (jnp.ones(3),)),
        (lambda key: eqx.nn.GRUCell(3, 4, key=key), (jnp.ones(3), jnp.ones(4))),
        (lambda key: eqx.nn.Conv2d(1, 2, 2, key=key), (jnp.ones((1, 4, 4)),)),
        (lambda key: eqx.nn.LayerNorm(3), (jnp.arange(3.0),)),
    ],
    ids=["Linear", "MLP", "GRUCell", "Conv2d", "LayerNorm"],
)
def test_bayesian_at_its_means_is_the_module(module, inputs, key):
    plain = module(key)
    model = Bayesian(plain)
    expected = plain(*inputs)
    np.testing.assert_array_equal(model(*inputs, sample=False), expected)
    assert eqx.tree_equal(model.to_equinox(), plain)
    drawn = sample_all_parameters(model, random.fold_in(key, 0))
    np.testing.assert_array_equal(model(*inputs, key=key), drawn.to_equinox()(*inputs))
    assert jnp.any(model(*inputs, key=key) != expected)


def test_bayesian_of_a_users_module(key):
    class Mine(eqx.Module):
        scale: jax.Array
        steps: jax.Array
        prior: GaussianParameter
        name: str

        def __call__(self, x, *, power=1):
            return self.scale * x**power + self.steps.astype(float) + self.prior

    mine = Mine(jnp.array(2.0), jnp.array(3), make_parameter(1.0), "mine")
    model = Bayesian(mine, param_type=LaplacianParameter)
    assert {name: type(p) for name, p in model.get_parameters().items()} == {
        "module.scale": LaplacianParameter,
        "module.prior": GaussianParameter,
    }
    assert model(jnp.array(5.0), power=2, sample=False) == 2 * 25 + 3 + 1


def test_bayesian_passes_a_key_to_modules_that_take_one(key):
    dropout = Bayesian(eqx.nn.Dropout(0.5))
    x = jnp.ones(100)
    first = dropout(x, key=key, sample=False)
    assert 0 < jnp.sum(first == 0) < 100
    np.testing.assert_array_equal(first, dropout(x, key=key, sample=True))
    assert jnp.any(first != dropout(x, key=random.key(1), sample=False))


def test_bayesian_draws_once_for_a_sequence(key):
    cell = Bayesian(eqx.nn.GRUCell(2, 3, key=key), init_raw_stdv=0.5)
    drawn = sample_all_parameters(cell, key)

    def step(hidden, x):
        hidden = drawn(x, hidden, sample=False)
        return hidden, hidden

    _, states = jax.lax.scan(step, jnp.zeros(3), jnp.ones((5, 2)))
    hidden = jnp.zeros(3)
    for state in states:
        hidden = drawn.to_equinox()(jnp.ones(2), hidden)
        np.testing.assert_allclose(state, hidden, rtol=1e-5)


def test_bayesian_keeps_tied_weights_tied(key):
    class Tied(eqx.Module):
        shared: eqx.nn.Shared

        def __init__(self, key):
            layers = [eqx.nn.Linear(2, 2, use_bias=False, key=key)] * 2
            self.shared = eqx.nn.Shared(
                layers, lambda pair: pair[1].weight, lambda pair: pair[0].weight
            )

        def __call__(self, x):
            first, second = self.shared()
            return first(x) - second(x)

    model = Bayesian(Tied(key), init_raw_stdv=1.0)
    assert bjm.get_parameter_count(model)["total"] == 4
    np.testing.assert_array_equal(model(jnp.ones(2), key=key), 0)


def test_bayesian_wants_something_to_call():
    class NoCall(Module):
        W: GaussianParameter

    with pytest.raises(TypeError, match="`module` must be .*got NoCall"):
        Bayesian(NoCall(make_parameter(1.0)))
