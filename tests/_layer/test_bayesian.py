import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import (
    Bayesian,
    GaussianParameter,
    LaplacianParameter,
    Module,
    make_parameter,
    sample_all_parameters,
)


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


def test_sampling_without_a_key_is_an_error(key):
    with pytest.raises(
        ValueError, match="key is required: `key` is None, but `sample=True`.*Pass"
    ):
        Bayesian(eqx.nn.Linear(3, 2, key=key))(jnp.ones(3), key=None, sample=True)
    with pytest.raises(
        ValueError, match="key is required: `key` is None, but `sample=True`.*Pass"
    ):
        Bayesian(eqx.nn.Linear(3, 2, key=key))(jnp.ones(3))


def test_bayesian_can_be_without_distributions(key):
    model = Bayesian(eqx.nn.Linear(2, 2, key=key), bayesian=False)
    assert all(parameter.is_known for parameter in model.get_parameters().values())
    np.testing.assert_array_equal(
        model(jnp.ones(2), key=key), model(jnp.ones(2), sample=False)
    )
    assert all(eqx.is_array(leaf) for leaf in jax.tree.leaves(model))
