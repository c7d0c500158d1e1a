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


def test_a_field_has_to_say_how_it_moves():
    class Still(bjm.AbstractVectorField):
        rate: bjm.AbstractParameter

    with pytest.raises(TypeError, match="abstract"):
        Still(bjm.make_parameter(1.0))


def test_a_model_as_a_field_takes_any_time_any_arguments_and_no_noise(key):
    mlp = BayesianMLP(2, 2, 4, 1, key=key)
    field, y = ModelVectorField(mlp), jnp.array([[0.5, -1.0], [2.0, 0.0]])
    first = field(0.0, y, None)
    np.testing.assert_array_equal(field(7.0, y, {"any": "thing"}), first)
    names = [name.removeprefix("model.") for name in field.get_parameters()]
    assert names == list(mlp.get_parameters())
