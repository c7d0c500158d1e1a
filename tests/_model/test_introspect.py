import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import (
    BayesianLinear,
    GaussianParameter,
    LaplacianParameter,
    Module,
    MultivariateGaussianParameter,
    make_parameter,
)

from ..registry import LogisticParameter, Traps


class MLP(Module):
    layers: list

    def __init__(self, key):
        keys = random.split(key)
        self.layers = [
            BayesianLinear(2, 3, key=keys[0]),
            BayesianLinear(3, 1, bayesian_bias=False, key=keys[1]),
        ]

    def __call__(self, x, *, key, sample=True):
        keys = random.split(key) if sample else (None, None)
        x = jnp.tanh(self.layers[0](x, key=keys[0], sample=sample))
        return self.layers[1](x, key=keys[1], sample=sample)


def test_names_of_a_users_model(key):
    model = MLP(key)
    parameters = model.get_parameters()
    assert list(parameters) == [
        "layers[0].W",
        "layers[0].b",
        "layers[1].W",
        "layers[1].b",
    ]
    assert parameters["layers[0].W"] is model.layers[0].W
    assert model(jnp.ones((4, 2)), key=key, sample=True).shape == (4, 1)
    assert model(jnp.ones((4, 2)), key=None, sample=False).shape == (4, 1)


def test_names_through_every_container(key):
    assert list(bjm.get_parameters(Traps(key))) == [
        "W",
        "stdv_net.W",
        "stdv_net.b",
        "table['W']",
        "table['mean']",
        "table['raw_stdv']",
        "inner.mean_field",
        "pair[0]",
        "scalar",
        "empty",
    ]
    assert list(bjm.get_parameters([{"a": make_parameter(1.0)}])) == ["[0]['a']"]


def test_vectors_of_a_known_model():
    model = {
        "a": GaussianParameter(jnp.array([1.0, 2.0]), jnp.array([0.1, 0.2])),
        "b": make_parameter(3.0, bayesian=False),
        "c": LaplacianParameter(jnp.array([[4.0]]), jnp.array([[0.5]])),
        "d": MultivariateGaussianParameter(
            jnp.array([5.0, 6.0]), jnp.array([0.3, 0.4]), jnp.array([0.7])
        ),
        "e": LogisticParameter(jnp.array([7.0]), jnp.array([-0.6])),
        "not a parameter": jnp.array([8.0]),
    }
    np.testing.assert_allclose(bjm.flatten_means(model), [1, 2, 3, 4, 5, 6, 7])
    np.testing.assert_allclose(
        bjm.flatten_raw_stdvs(model), [0.1, 0.2, 0, 0.5, 0.3, 0.4, -0.6]
    )
    np.testing.assert_allclose(
        bjm.flatten_stdvs(model),
        [
            0.01 + 1e-4,
            0.04 + 1e-4,
            0,
            2**0.5 * (0.25 + 1e-4),
            0.09 + 1e-4,
            (0.7**2 + (0.16 + 1e-4) ** 2) ** 0.5,
            np.exp(-0.6) * np.pi / 3**0.5,
        ],
        rtol=1e-6,
    )
    np.testing.assert_allclose(bjm.compute_prior(model), 140)


def test_raw_stdvs_do_not_mistake_correlations_for_widths():
    three = MultivariateGaussianParameter.from_value(jnp.zeros(3), 0.2)
    np.testing.assert_allclose(bjm.flatten_raw_stdvs(three), 0.2)


def test_prior_of_a_drawn_model_is_taken_at_the_draw(key):
    model = make_parameter(jnp.zeros(5), init_raw_stdv=1.0)
    drawn = bjm.sample_all_parameters(model, key)
    assert bjm.compute_prior(model) == 0
    np.testing.assert_allclose(bjm.compute_prior(drawn), jnp.sum(drawn.mean**2))


def test_counts_and_groups(key):
    model = Traps(key)
    assert bjm.get_parameter_count(model) == {
        "total": 23,
        "bayesian": 19,
        "deterministic": 4,
    }
    groups = bjm.get_parameter_groups(model)
    assert groups == {
        "gaussian": ["W", "stdv_net.W", "table['mean']", "scalar", "empty"],
        "laplacian": ["table['W']"],
        "deterministic": ["stdv_net.b", "table['raw_stdv']"],
        "logistic": ["inner.mean_field"],
        "multivariate_gaussian": ["pair[0]"],
    }


def test_a_group_name_that_is_taken():
    class Gaussian(LogisticParameter):
        pass

    model = [Gaussian(jnp.ones(1), jnp.ones(1)), make_parameter(1.0)]
    groups = bjm.get_parameter_groups(model)
    assert groups["gaussian"] == ["[1]"]
    assert list(groups.values())[3] == ["[0]"]


def test_a_model_without_parameters():
    assert bjm.get_parameters(jnp.ones(2)) == {}
    assert bjm.flatten_means({}).shape == (0,)
    assert bjm.compute_prior({}) == 0
    assert bjm.entropy({}) == 0


def test_mixed_precisions_go_into_one_vector(x64):
    model = [make_parameter(np.float32(1)), make_parameter(np.float64(2))]
    assert bjm.flatten_means(model).dtype == jnp.float64
    moved = bjm.unflatten_means(model, jnp.array([3.0, 4.0]))
    assert [p.mean.dtype for p in moved] == [jnp.float32, jnp.float64]


def test_shared_parameters_are_one_through_equinox_shared(key):
    class Tied(Module):
        shared: eqx.nn.Shared

        def __init__(self, key):
            layers = [BayesianLinear(2, 2, init_raw_stdv=1.0, key=key)] * 2
            self.shared = eqx.nn.Shared(
                layers, lambda pair: pair[1].W, lambda pair: pair[0].W
            )

    model = Tied(key)
    assert bjm.get_parameter_count(model)["total"] == 8
    first, second = bjm.sample_all_parameters(model, key).shared()
    np.testing.assert_array_equal(first.W.mean, second.W.mean)
    assert jnp.all(first.b.mean != second.b.mean)


def test_one_object_in_two_places_is_two_parameters(key):
    parameter = make_parameter(jnp.zeros(2), init_raw_stdv=1.0)
    first, second = bjm.sample_all_parameters([parameter, parameter], key)
    assert jnp.all(first.mean != second.mean)


def test_vectors_that_do_not_fit_are_errors(key):
    with pytest.raises(ValueError, match=r"`vector` has shape \(3,\), but \(23,\) was"):
        bjm.unflatten_means(Traps(key), jnp.ones(3))
