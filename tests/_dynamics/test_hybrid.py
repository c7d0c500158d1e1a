import equinox as eqx
import jax.numpy as jnp
import numpy as np

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
