"""The engine that stacks what was trained side by side."""

import equinox as eqx
import jax
import numpy as np
import pytest

import BayesianJaxModels as bjm


def test_stacked_models_become_a_posterior_of_as_many_members(key):
    keys = jax.random.split(key, 3)
    members = eqx.filter_vmap(lambda key: bjm.BayesianLinear(2, 1, key=key))(keys)
    posterior = bjm.ensemble(members, weights=[1, 1, 2])
    assert type(posterior) is bjm.EnsemblePosterior
    assert posterior.members is members
    np.testing.assert_array_equal(posterior.weights, [0.25, 0.25, 0.5])
    alone = bjm.BayesianLinear(2, 1, key=keys[2])
    np.testing.assert_allclose(
        bjm.flatten_means(posterior.member(2)), bjm.flatten_means(alone), rtol=1e-6
    )
    equal = bjm.ensemble(members).weights
    np.testing.assert_allclose(equal, np.full(3, 1 / 3), rtol=1e-7)


def test_one_model_is_no_stack(key):
    one = {"a": bjm.make_parameter([1.0, 2.0]), "b": bjm.make_parameter(1.0)}
    with pytest.raises(ValueError, match="leading axis of members.*`MixturePosterior`"):
        bjm.ensemble(one)
