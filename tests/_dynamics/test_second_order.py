import jax.numpy as jnp
import numpy as np

from BayesianJaxModels import SecondOrderVectorField, integrate


def test_second_order_field_is_an_oscillator():
    field = SecondOrderVectorField(lambda t, y, args: -y[0])
    ts = jnp.linspace(0.0, 3.0, 7)
    q, v = integrate(field, (jnp.ones(1), jnp.zeros(1)), ts).ys
    np.testing.assert_allclose(q[:, 0], np.cos(ts), atol=3e-4)
    np.testing.assert_allclose(v[:, 0], -np.sin(ts), atol=3e-4)


def test_position_moves_with_velocity_and_velocity_with_acceleration():
    def acceleration(t, y, args):
        position, velocity = y
        return {"x": args * position["x"] - velocity["x"] * t}

    position, velocity = {"x": jnp.array([2.0, 3.0])}, {"x": jnp.array([5.0, 7.0])}
    field = SecondOrderVectorField(acceleration)
    moved, pushed = field(10.0, (position, velocity), -4.0)
    assert moved is velocity
    np.testing.assert_array_equal(pushed["x"], [-58.0, -82.0])
