import equinox as eqx
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


def test_only_the_last_layer_starts_small(key):
    field = NeuralVectorField(2, width=4, depth=2, time_dependent=True, key=key)
    plain = BayesianMLP(3, 2, 4, 2, key=key)
    *first, last = zip(field.mlp.layers, plain.layers, strict=True)
    for ours, other in first:
        assert eqx.tree_equal(ours, other)
    ours, other = last
    np.testing.assert_allclose(ours.W.mean, 0.1 * other.W.mean, rtol=1e-6)
    assert eqx.tree_equal(ours.b, other.b)
    assert eqx.tree_equal(ours.W.raw_stdv, other.W.raw_stdv)


def test_a_mark_in_each_input_reaches_the_network(key):
    """State first, then time, then controls, in the precision of the state."""
    field = NeuralVectorField(
        1, width=2, depth=1, time_dependent=True, control_dim=2, key=key
    )
    rows = []

    class Spy(eqx.Module):
        def __call__(self, x, *, sample):
            rows.append(x)
            assert not sample
            return x[..., :1]

    field = eqx.tree_at(lambda field: field.mlp, field, Spy())
    derivative = field(3, jnp.array([[1.0], [2.0]]), lambda t: np.array([10 * t, 7]))
    np.testing.assert_array_equal(rows[0], [[1, 3, 30, 7], [2, 3, 30, 7]])
    assert rows[0].dtype == "float32"
    assert derivative.shape == (2, 1)


def test_sizes_and_widths_that_are_none(key):
    given = {"width": 4, "depth": 1, "key": key}
    with pytest.raises(ValueError, match="at least 1"):
        NeuralVectorField(0, **given)
    with pytest.raises(ValueError, match="at least 1"):
        NeuralVectorField(2, **given | {"width": 0})
    with pytest.raises(ValueError, match="at least 0"):
        NeuralVectorField(2, **given | {"depth": -1})
    with pytest.raises(ValueError, match="`init_raw_stdv` must be finite"):
        NeuralVectorField(2, init_raw_stdv=jnp.nan, **given)
    points = NeuralVectorField(2, bayesian=False, bayesian_bias=False, **given)
    assert all(
        type(parameter).__name__ == "DeterministicParameter"
        for parameter in points.get_parameters().values()
    )
