"""Functions of the state at known times."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import Doses, Jumps, Solve, integrate

TS = np.array([0.0, 1.0, 2.0, 3.0])


def growth(t, y, args):
    return y


def halve(t, y, args):
    return y / 2


def exact(ts, halved_at, after):
    count = sum((ts > t) | (after & (ts == t)) for t in halved_at)
    return np.exp(ts) / 2.0**count


@pytest.mark.parametrize("saved", ["before", "after"])
@pytest.mark.parametrize("times", [[0.0, 1.0], [0.5, 1.0, 1.5], [3.0], [7.0], [np.nan]])
def test_the_state_becomes_another_one(times, saved, x64):
    found = integrate(growth, 1.0, TS, jumps=Jumps(times, halve, saved=saved))
    assert found.succeeded
    expected = exact(TS, np.array(times), saved == "after")
    np.testing.assert_allclose(found.ys, expected, rtol=1e-4)


def test_stiff_methods_and_constant_stages_jump_too(x64):
    for solver in (diffrax.Kvaerno5(), diffrax.Dopri8(), diffrax.Heun()):
        settings = {"solver": solver, "max_steps": 10_000}
        found = integrate(growth, 1.0, TS, jumps=Jumps([0.5, 2.0], halve), **settings)
        np.testing.assert_allclose(found.ys, exact(TS, [0.5, 2.0], False), rtol=1e-3)


def test_values_and_arguments_come_with_the_time():
    def apply(t, y, args, value):
        return y * value["factor"] + args * t

    values = {"factor": np.array([0.0, 2.0])}
    found = integrate(
        lambda t, y, args: 0 * y,
        1.0,
        TS,
        args=10.0,
        jumps=Jumps([0.5, 1.5], apply, values=values),
    )
    np.testing.assert_allclose(found.ys, [1.0, 5.0, 25.0, 25.0], rtol=1e-6)


def test_rows_have_times_values_and_arguments_of_their_own():
    jumps = Jumps(
        np.array([[0.5, 1.5], [2.5, np.nan]]),
        lambda t, y, args, value: y + args * value,
        values=np.array([[1.0, 2.0], [3.0, 0.0]]),
    )
    found = integrate(
        lambda t, y, args: 0 * y,
        np.zeros(2),
        TS,
        args=np.array([1.0, 10.0]),
        args_axes=0,
        batched=True,
        jumps=jumps,
    )
    np.testing.assert_allclose(found.ys, [[0, 1, 3, 3], [0, 0, 0, 30]], rtol=1e-6)
    together = integrate(
        lambda t, y, args: 0 * y,
        np.zeros(2),
        TS,
        args=np.array([1.0, 10.0]),
        args_axes=0,
        batched=True,
        shared_steps=True,
        jumps=Jumps(0.5, lambda t, y, args: y + args, saved="after"),
    )
    np.testing.assert_allclose(together.ys, [[0, 1, 1, 1], [0, 10, 10, 10]], rtol=1e-6)


def test_rows_of_times_share_what_happens(x64):
    """Each state has times, and a start, of its own; the jumps are those of all."""
    ts, t0 = np.array([[1.0, 3.0], [2.0, 2.5]]), np.array([0.0, 1.75])
    jumps = (
        Jumps(
            [1.5, 2.25],
            lambda t, y, args, value: y * value,
            values=np.array([3.0, 5.0]),
        ),
        Doses(2.75, 7.0),
    )
    settings = {"batched": True, "rtol": 1e-9, "atol": 1e-9}
    with pytest.raises(ValueError, match="has 1.5, which is before the start at 1.75"):
        Solve(ts, t0=t0, y0=np.ones(2), jumps=jumps, **settings)
    solve = Solve(ts, t0=np.array([0.0, 1.25]), y0=np.ones(2), jumps=jumps, **settings)
    exact = [
        [np.exp(1.0), 15 * np.exp(3.0) + 7 * np.exp(0.25)],
        [3 * np.exp(0.75), 15 * np.exp(1.25)],
    ]
    for call in (solve, eqx.filter_jit(solve)):
        np.testing.assert_allclose(call(growth).ys, exact, rtol=1e-7)


def test_gradients_go_through_what_a_function_closes_over_and_its_time(x64):
    def last(factor, time):
        solve = Solve(
            TS,
            y0=1.0,
            jumps=lambda _: Jumps(time, lambda t, y, args: factor * y + t),
            rtol=1e-9,
            atol=1e-9,
        )
        return solve(growth).ys[-1]

    def by_hand(factor, time):
        return (factor * np.exp(time) + time) * np.exp(3 - time)

    assert last(0.3, 1.5) == pytest.approx(by_hand(0.3, 1.5), rel=1e-7)
    found = jax.jit(jax.grad(last, (0, 1)))(0.3, 1.5)
    expected = [np.exp(3.0), (1 - 1.5) * np.exp(1.5)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_solves_side_by_side_and_compiled_are_those_alone():
    def states(time):
        return integrate(growth, 1.0, TS, jumps=Jumps(time, halve)).ys

    times = jnp.array([0.25, 1.0, 2.75])
    together = jax.jit(jax.vmap(states))(times)
    for row, time in zip(together, times, strict=True):
        np.testing.assert_allclose(row, states(time), rtol=1e-5)


def test_an_event_ends_a_solve_with_jumps():
    full = diffrax.Event(lambda t, y, args, **kwargs: y > 5.0)
    found = integrate(
        growth, 1.0, TS, jumps=Jumps(1.0, lambda t, y, a: y + 1), event=full
    )
    assert found.ended_by_event
    np.testing.assert_allclose(found.ys[:2], np.exp([0.0, 1.0]), rtol=1e-4)
    assert np.isnan(found.ys[3])


def test_wrong_jumps_are_named():
    with pytest.raises(TypeError, match="`apply` must be a function"):
        Jumps(1.0, 2.0)
    with pytest.raises(
        ValueError, match=r"`values` must have an entry.*\(2,\).*\(3,\)"
    ):
        Jumps([1.0, 2.0], halve, values=np.zeros(3))
    with pytest.raises(
        ValueError, match=r"state of shape \(2,\) from one of shape \(\)"
    ):
        integrate(growth, 1.0, TS, jumps=Jumps(1.0, lambda t, y, a: jnp.stack([y, y])))
    with pytest.raises(ValueError, match="must have one axis"):
        Jumps(np.zeros((1, 1, 1)), halve)


def test_times_before_the_start_or_backwards_fail_where_they_are_traced():
    @eqx.filter_jit
    def succeeds(time, ts):
        return integrate(growth, 1.0, ts, jumps=Jumps(time, halve)).succeeded

    assert succeeds(jnp.array(1.0), jnp.asarray(TS))
    assert not succeeds(jnp.array(-1.0), jnp.asarray(TS))
    assert not succeeds(jnp.array(1.0), jnp.asarray(TS[::-1]))


def test_times_that_single_precision_cannot_tell_apart():
    close = Jumps([1.0, 1.0 + 1e-9], halve)
    with pytest.raises(ValueError, match="cannot tell some of its times apart"):
        integrate(growth, 8.0, TS, jumps=close)
    twice = jax.jit(lambda times: integrate(growth, 8.0, TS, jumps=Jumps(times, halve)))
    assert not twice(jnp.array([2.5, 2.5])).succeeded
    assert twice(jnp.array([2.5, 2.75])).succeeded
