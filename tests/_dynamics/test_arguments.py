import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import integrate
from tests._dynamics.cases import TS, decay, linear


def test_states_that_do_not_fit():
    ts = jnp.asarray(TS, jnp.float32)
    with pytest.raises(TypeError, match="`y0` must consist of floats.*dtype int32"):
        integrate(linear(), jnp.ones(2, int), ts)
    with pytest.raises(
        ValueError, match=r"returns shape \(1,\) for a state of .*\(2,\)"
    ):
        integrate(lambda t, y, args: y[:1], jnp.ones(2), ts)
    with pytest.raises(
        ValueError, match="every leaf of `y0` needs a leading axis of one"
    ):
        integrate(linear(), {"a": jnp.ones((2, 1)), "b": jnp.ones(3)}, ts, batched=True)


def test_states_that_are_no_numbers():
    with pytest.raises(ValueError, match=r"`y0\['prey'\]` must be finite"):
        integrate(lambda t, y, args: y, {"prey": jnp.array(jnp.nan)}, np.arange(3.0))
    y0 = jnp.array([1.0, jnp.inf, 2.0])
    solve = jax.jit(
        lambda y0: integrate(
            decay, y0, np.arange(3.0), args=0.7, batched=True, shared_steps=True
        )
    )
    trajectory = solve(y0)
    np.testing.assert_array_equal(trajectory.succeeded, [True, False, True])
    exact = np.array([[1.0], [2.0]]) * np.exp(-0.7 * np.arange(3.0))
    np.testing.assert_allclose(trajectory.ys[::2], exact, rtol=2e-4)


def test_arguments_of_each_initial_state():
    """A dose for each, by their own and by shared steps; of parameters by index."""
    rates = jnp.array([0.1, 0.5, 2.0])
    ts = np.arange(3.0)
    exact = np.exp(-np.outer(rates, ts))
    given = {
        "an array": (rates, 0, lambda t, y, args: -args * y),
        "some of them": (
            {"rate": np.asarray(rates), "sign": -1.0},
            {"rate": 0, "sign": None},
            lambda t, y, args: args["sign"] * args["rate"] * y,
        ),
        "an index": (np.arange(3), 0, lambda t, y, args: -rates[args] * y),
    }
    for name, (args, axes, field) in given.items():
        trajectory = integrate(
            field,
            jnp.ones(3),
            ts,
            args=args,
            args_axes=axes,
            batched=True,
            shared_steps=name == "some of them",
        )
        np.testing.assert_allclose(trajectory.ys, exact, rtol=3e-4)
    with pytest.raises(ValueError, match=r"`args_axes` maps.*\[\(2,\), \(3,\)\]"):
        integrate(decay, jnp.ones(2), ts, args=rates, args_axes=0, batched=True)
    with pytest.raises(ValueError, match=r"state of shape \(\). They must be equal\.$"):
        integrate(decay, jnp.ones(3), ts, args=rates, batched=True)
    with pytest.raises(ValueError, match="`args_axes` .* `batched=True`"):
        integrate(decay, jnp.ones(3), ts, args=rates, args_axes=0)
