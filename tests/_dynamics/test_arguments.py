import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import integrate
from BayesianJaxModels._dynamics.arguments import (
    AxisOfArrays,
    check_batch,
    check_derivative,
    check_state,
)
from BayesianJaxModels._dynamics.clock import read_clock
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


def test_states_become_arrays_and_keep_their_precision(x64):
    given = {"a": 1.0, "b": (np.float32(2.0), np.ones(2, "float16"))}
    found = check_state(given)
    assert [leaf.dtype for leaf in jax.tree.leaves(found)] == [
        "float64",
        "float32",
        "float16",
    ]
    jax.tree.map(np.testing.assert_array_equal, found, given)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_only_states_that_are_known_are_held_to_be_finite(bad):
    with pytest.raises(ValueError, match=r"^`y0\[1\]\['q'\]` must be finite"):
        check_state((1.0, {"q": np.array([0.0, bad])}))
    passed = jax.jit(lambda y0: check_state({"q": y0})["q"])(jnp.array([0.0, bad]))
    np.testing.assert_array_equal(passed, [0.0, bad])


@pytest.mark.parametrize("kind", ["int32", "bool", "complex64"])
def test_states_that_are_no_floats_are_named(kind):
    message = f"^`y0` must consist of floats, but has a leaf of dtype {kind}. Write 1.0"
    with pytest.raises(TypeError, match=message):
        check_state({"q": 1.0, "p": np.ones(2, kind)})


def test_axes_are_for_arrays_alone():
    axis = AxisOfArrays(1)
    assert [axis(leaf) for leaf in (jnp.ones(2), np.ones(2), 1.0, jnp.sin, "a")] == [
        1,
        1,
        None,
        None,
        None,
    ]


def test_what_is_mapped_over_states_has_one_size():
    one, rows = read_clock(np.arange(4.0)).begin(), np.tile(np.arange(4.0), (3, 1))
    each = read_clock(rows, rows=True).begin()
    y0, second = {"a": jnp.ones((3, 2)), "b": jnp.ones(3)}, jnp.ones((2, 3))
    check_batch(y0, one, None, None)
    check_batch(y0, each, {"k": second, "f": jnp.sin}, {"k": 1, "f": None})
    for args, args_axes, sizes in (
        (second, 0, r"\[\(2,\), \(3,\)\]"),
        (jnp.array(1.0), 0, r"\[\(\), \(3,\)\]"),
        ({"k": 1.0}, {"k": 0}, r"\[\(\), \(3,\)\]"),
    ):
        with pytest.raises(ValueError, match=f"what `args_axes` maps.*{sizes}.$"):
            check_batch(y0, each, args, args_axes)
    with pytest.raises(ValueError, match=r"their axes are \[\(2,\), \(3,\)\]"):
        check_batch(second, each, None, None)


def test_derivatives_have_the_structure_of_their_state():
    span, y0 = read_clock(np.arange(4.0)).begin(), {"q": jnp.ones(2), "p": jnp.ones(())}
    check_derivative(lambda t, y, args: y, y0, span, None, None, batched=False)
    wanted = r"^`vector_field` returns shape .*; for many initial .*`batched=True`\.$"
    for field in (
        lambda t, y, args: y["q"],
        lambda t, y, args: {"q": y["q"], "p": y["q"]},
        lambda t, y, args: y | {"r": y["p"]},
    ):
        with pytest.raises(ValueError, match=wanted):
            check_derivative(field, y0, span, None, None, batched=False)
