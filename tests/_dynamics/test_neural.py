import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import BayesianMLP, NeuralVectorField


def test_neural_field_is_its_network(key):
    field = NeuralVectorField(2, width=4, depth=1, key=key)
    y = jnp.array([[0.5, -1.0], [1.0, 2.0]])
    np.testing.assert_array_equal(field(0.0, y, None), field.mlp(y, sample=False))
    assert list(field.get_parameters())[0] == "mlp.layers[0].W"
    value, gradient = jax.value_and_grad(lambda f: jnp.sum(f(0.0, y, None)))(field)
    assert jnp.isfinite(value)
    assert jax.tree.structure(gradient) == jax.tree.structure(field)


def test_neural_field_sees_time_and_controls(key):
    field = NeuralVectorField(
        2, width=4, depth=1, time_dependent=True, control_dim=3, key=key
    )
    y, controls = jnp.ones((5, 2)), jnp.array([1.0, 2.0, 3.0])
    inputs = jnp.concatenate([y, jnp.full((5, 1), 0.7), jnp.tile(controls, (5, 1))], 1)
    np.testing.assert_allclose(
        field(0.7, y, lambda t: controls), field.mlp(inputs, sample=False)
    )


def test_untrained_neural_fields_are_slow(key):
    field = NeuralVectorField(2, width=64, depth=2, key=key)
    plain = BayesianMLP(2, 2, 64, 2, key=key)
    y = jnp.ones(2)
    np.testing.assert_allclose(
        field(0.0, y, None), 0.1 * plain(y, sample=False), rtol=1e-5
    )


def test_controls_that_do_not_fit(key):
    field = NeuralVectorField(2, width=4, depth=1, control_dim=1, key=key)
    with pytest.raises(TypeError, match="`args` must be a function of time.*NoneType"):
        field(0.0, jnp.ones(2), None)
    with pytest.raises(
        ValueError, match=r"`args\(t\)` has shape \(2,\).* wants \(1,\)"
    ):
        field(0.0, jnp.ones(2), lambda t: jnp.ones(2))
