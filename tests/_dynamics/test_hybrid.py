import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import (
    HybridVectorField,
    NeuralVectorField,
    make_parameter,
    sample_all_parameters,
)


class Decay(eqx.Module):
    rate: eqx.Module

    def __call__(self, t, y, args):
        return -self.rate.mean * y


def test_hybrid_field_is_the_sum(key):
    known = Decay(make_parameter(0.5, init_raw_stdv=0.3))
    residual = NeuralVectorField(2, width=4, depth=1, key=key)
    field = HybridVectorField(known, residual)
    y = jnp.ones(2)
    expected = known(0.0, y, None) + residual(0.0, y, None)
    np.testing.assert_array_equal(field(0.0, y, None), expected)
    assert list(field.get_parameters())[:2] == [
        "known.rate",
        "residual.mlp.layers[0].W",
    ]
    drawn = sample_all_parameters(field, key)
    assert drawn.known.rate.mean != known.rate.mean


def test_states_of_any_structure_are_added_leaf_by_leaf():
    def known(t, y, args):
        return {"q": y["p"], "p": (-t * y["q"], args)}

    def residual(t, y, args):
        return {"q": jnp.array([10.0]), "p": (jnp.ones(1), 2 * args)}

    y = {"q": jnp.array([2.0]), "p": jnp.array([3.0])}
    found = HybridVectorField(known, residual)(0.5, y, jnp.array(4.0))
    np.testing.assert_array_equal(found["q"], [13.0])
    np.testing.assert_array_equal(found["p"][0], [0.0])
    assert found["p"][1] == 12.0


def test_parts_of_different_structure_are_not_added():
    field = HybridVectorField(lambda t, y, args: {"q": y}, lambda t, y, args: (y,))
    with pytest.raises(ValueError, match="structure error: different types"):
        field(0.0, jnp.ones(1), None)
