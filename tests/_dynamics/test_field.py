import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels import BayesianMLP, ModelVectorField


def test_any_model_is_a_field(key):
    mlp = BayesianMLP(2, 2, 4, 1, key=key)
    field = ModelVectorField(mlp)
    np.testing.assert_array_equal(
        field(0.0, jnp.ones(2), None), mlp(jnp.ones(2), sample=False)
    )


def test_fields_take_no_key():
    with pytest.raises(TypeError, match="key"):
        bjm.SecondOrderVectorField(lambda t, y, args: y[0])(
            0.0, (1.0, 1.0), None, key=1
        )
