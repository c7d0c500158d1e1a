import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels import (
    BayesianMLP,
    HybridVectorField,
    ModelVectorField,
    NeuralVectorField,
    SecondOrderVectorField,
    integrate,
    make_parameter,
    sample_all_parameters,
)


class Decay(eqx.Module):
    rate: eqx.Module

    def __call__(self, t, y, args):
        return -self.rate.mean * y


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


def test_second_order_field_is_an_oscillator():
    field = SecondOrderVectorField(lambda t, y, args: -y[0])
    ts = jnp.linspace(0.0, 3.0, 7)
    q, v = integrate(field, (jnp.ones(1), jnp.zeros(1)), ts).ys
    np.testing.assert_allclose(q[:, 0], np.cos(ts), atol=3e-4)
    np.testing.assert_allclose(v[:, 0], -np.sin(ts), atol=3e-4)


def test_any_model_is_a_field(key):
    mlp = BayesianMLP(2, 2, 4, 1, key=key)
    field = ModelVectorField(mlp)
    np.testing.assert_array_equal(
        field(0.0, jnp.ones(2), None), mlp(jnp.ones(2), sample=False)
    )


def test_controls_that_do_not_fit(key):
    field = NeuralVectorField(2, width=4, depth=1, control_dim=1, key=key)
    with pytest.raises(TypeError, match="`args` must be a function of time.*NoneType"):
        field(0.0, jnp.ones(2), None)
    with pytest.raises(
        ValueError, match=r"`args\(t\)` has shape \(2,\).* wants \(1,\)"
    ):
        field(0.0, jnp.ones(2), lambda t: jnp.ones(2))


def test_fields_take_no_key():
    with pytest.raises(TypeError, match="key"):
        bjm.SecondOrderVectorField(lambda t, y, args: y[0])(
            0.0, (1.0, 1.0), None, key=1
        )
