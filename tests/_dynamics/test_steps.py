import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import integrate
from BayesianJaxModels._dynamics.clock import Span
from BayesianJaxModels._dynamics.steps import step_to_jumps


def infusion(t, y, edges):
    """One unit an hour between two times, and a loss of 0.3 an hour."""
    on, off = edges
    return jnp.where((t >= on) & (t < off), 1.0, 0.0) - 0.3 * y


def after_infusion(t, on, off):
    return (np.exp(-0.3 * (t - off)) - np.exp(-0.3 * (t - on))) / 0.3


def test_a_short_input_is_seen_where_it_is_named():
    """In days since 1970 too, and with the derivative by when it ends."""

    @jax.jit
    def solve(edges, start):
        edges = edges + start

        def last(edges):
            ts = jnp.arange(31.0) + start
            trajectory = integrate(infusion, 0.0, ts, args=edges, jump_ts=edges)
            return trajectory.ys[-1], trajectory

        return jax.value_and_grad(last, has_aux=True)(edges)

    for start in (0.0, 1024.0):
        (_, trajectory), slope = solve(jnp.array([20.0, 21.0]), jnp.array(start))
        exact = after_infusion(np.arange(21.0, 31.0), 20.0, 21.0)
        np.testing.assert_allclose(trajectory.ys[21:], exact, rtol=1e-3)
        ends = np.exp(-0.3 * np.array([10.0, 9.0])) * [-1.0, 1.0]
        np.testing.assert_allclose(slope, ends, rtol=0.01)
        assert trajectory.num_steps < 40
    days = 19_700 + np.arange(31.0)
    trajectory = integrate(
        lambda t, y, args: infusion(t, y, (19_720.0, 19_721.0)),
        0.0,
        days,
        jump_ts=np.array([np.nan, 19_721.0, 19_720.0, 0.0, 1e9]),
    )
    np.testing.assert_allclose(trajectory.ys[21:], exact, rtol=1e-3)


def test_a_short_input_is_seen_where_its_knots_are_known():
    """Backwards as well, one for each state, ragged, and among a thousand knots."""
    knots = np.array(
        [[0.0, 20.0, 20.001, 21.0, 21.001, 30.0], [0.0, 9.0, 9.5, 30, 0, 0]]
    )
    knots[1, 4:] = np.nan
    rates = jnp.array([[0.0, 0.0, 1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]])
    inputs = jax.vmap(diffrax.LinearInterpolation)(jnp.asarray(knots, "float32"), rates)

    def field(t, y, rate):
        return rate.evaluate(t) - 0.3 * y

    ts = np.arange(31.0)
    trajectory = integrate(
        field, jnp.zeros(2), ts, args=inputs, args_axes=0, batched=True
    )
    exact = after_infusion(30.0, 20.0, 21.0)
    np.testing.assert_allclose(trajectory.ys[0, -1], exact, rtol=3e-3)
    first = jax.tree.map(lambda leaf: leaf[0], inputs)
    back = integrate(field, trajectory.ys[0, 25], ts[25::-1].copy(), args=first)
    np.testing.assert_allclose(back.ys[-1], 0.0, atol=0.02)

    many = np.union1d(np.linspace(0.0, 30.0, 1_000), knots[0]).astype(np.float32)
    pulse = np.interp(many, knots[0], rates[0]).astype(np.float32)
    rate = diffrax.LinearInterpolation(jnp.asarray(many), jnp.asarray(pulse))
    trajectory = integrate(field, 0.0, ts, args=rate)
    np.testing.assert_allclose(trajectory.ys[-1], exact, rtol=3e-3)
    assert trajectory.num_steps < 100


def test_controllers_with_times_of_their_own():
    """Which are in the clock of the user, like `jump_ts`."""
    ts, edges = np.arange(31.0), np.array([20.0, 21.0])
    for make in (
        lambda start: diffrax.StepTo(jnp.arange(121) / 4 + start),
        lambda start: diffrax.ClipStepSizeController(
            diffrax.PIDController(1e-4, 1e-6), jump_ts=jnp.asarray(edges + start)
        ),
    ):
        here, there = [
            integrate(
                infusion,
                0.0,
                ts + start,
                t0=start,
                args=tuple(edges + start),
                stepsize_controller=make(start),
            )
            for start in (0.0, 64.0)
        ]
        assert here.succeeded
        np.testing.assert_allclose(here.ys, there.ys, atol=1e-3)
    np.testing.assert_allclose(
        there.ys[21:], after_infusion(ts[21:], *edges), rtol=1e-3
    )
    constant = {"stepsize_controller": diffrax.ConstantStepSize(), "dt0": 0.25}
    with pytest.raises(ValueError, match="`jump_ts` needs an adaptive.*ConstantStep"):
        integrate(infusion, 0.0, ts, args=edges, jump_ts=edges, **constant)


PID = diffrax.PIDController(1e-4, 1e-6)


def stepped(controller, jump_ts=None, inputs=None, start=0.0, end=4.0):
    elapsed = jnp.stack([jnp.zeros(()), jnp.asarray(end, float)])
    span = Span(jnp.asarray(start, float), elapsed, jump_ts, jnp.array(True))
    return step_to_jumps(controller, span, inputs)


def test_without_jumps_and_with_constant_steps_a_controller_stays():
    assert stepped(PID) is PID
    constant = diffrax.ConstantStepSize()
    knots = diffrax.LinearInterpolation(jnp.arange(3.0), jnp.ones(3))
    assert stepped(constant, jnp.ones(1), knots) is constant


def test_jumps_and_knots_are_stepped_to_and_padding_never_arrives():
    knots = diffrax.LinearInterpolation(jnp.arange(102.0, 105.0), jnp.ones(3))
    inputs = {"rate": knots, "other": jnp.ones(4), "f": jnp.sin}
    found = stepped(PID, jnp.array([1.0, jnp.nan]), inputs, start=100.0)
    assert isinstance(found, diffrax.ClipStepSizeController)
    assert found.controller == PID
    np.testing.assert_array_equal(np.sort(found.jump_ts), [1.0, 2.0, 3.0, 4.0, np.inf])


def test_of_many_knots_those_are_stepped_to_where_the_input_turns():
    """On the way of the solve alone, forwards and backwards."""
    ts = jnp.arange(200.0)
    values = jnp.where((ts > 50) & (ts <= 60), 1.0, 0.0) + jnp.where(ts > 180, 5.0, 0.0)
    rate = diffrax.LinearInterpolation(ts, values)

    @jax.jit
    def jumps_of(start, end):
        return stepped(PID, None, rate, start, end).jump_ts

    for start, end, wanted in (
        (0.0, 100.0, [50.0, 51.0, 60.0, 61.0]),
        (199.0, -199.0, [50.0, 51.0, 60.0, 61.0, 180.0, 181.0]),
        (55.0, 100.0, [60.0, 61.0]),
    ):
        jumps = np.asarray(jumps_of(jnp.array(start), jnp.array(end)))
        assert jumps.size == 64
        found = np.sort(jumps[np.isfinite(jumps)]) + start
        np.testing.assert_array_equal(found, wanted)


def test_steps_that_were_chosen_are_counted_from_the_start_and_end_with_the_solve():
    chosen = diffrax.StepTo(jnp.array([64.0, 64.5, 68.0]))
    np.testing.assert_array_equal(stepped(chosen, start=64.0).ts, [0.0, 0.5, 4.0])
    # To the last digit, which single precision has lost far from zero.
    end = jnp.float32(0.1)
    far = diffrax.StepTo(jnp.array([1e4, 1e4 + 0.1], "float32"))
    found = stepped(far, start=1e4, end=end)
    assert found.ts[-1] == end
    # Those that end elsewhere, or do not run one way, are none.
    assert np.isnan(stepped(chosen, start=64.0, end=3.0).ts).all()
    turning = diffrax.StepTo(jnp.array([0.0, 2.0, 1.0, 4.0]))
    assert np.isnan(stepped(turning).ts).all()
    backwards = diffrax.StepTo(jnp.array([0.0, -1.0, -4.0]))
    np.testing.assert_array_equal(stepped(backwards, end=-4.0).ts, [0.0, -1.0, -4.0])


def test_steps_that_were_chosen_wrongly_are_an_error_or_a_failed_solve():
    ts = np.arange(4.0)

    def solve(steps):
        controller = diffrax.StepTo(steps)
        settings = {"args": 1.0, "stepsize_controller": controller}
        return integrate(lambda t, y, rate: -rate * y, 1.0, ts, **settings)

    for steps, ends in (
        ([0.0, 0.5, 4.0], r"from 0.0 to 4.0, but the solve from 0.0 to 3.0"),
        ([0.0, 2.0, 1.0, 3.0], "strictly increasing"),
        ([1.0, 2.0, 3.0], r"from 1.0 to 3.0"),
    ):
        steps = jnp.asarray(steps)
        with pytest.raises(ValueError, match=f"The times of `StepTo`.*{ends}"):
            solve(steps)
        found = jax.jit(solve)(steps)
        assert not found.succeeded
        assert np.isnan(found.ys).all()
    good = jax.jit(solve)(jnp.linspace(0.0, 3.0, 31))
    assert good.succeeded
    np.testing.assert_allclose(good.ys, np.exp(-np.arange(4.0)), rtol=1e-5)


def test_clipped_steps_keep_their_times_in_the_clock_of_the_user():
    clipped = diffrax.ClipStepSizeController(
        PID, step_ts=jnp.array([11.0]), jump_ts=jnp.array([12.0])
    )
    found = stepped(clipped, jnp.array([3.0]), start=10.0)
    np.testing.assert_array_equal(found.jump_ts, [3.0])
    np.testing.assert_array_equal(found.controller.jump_ts, [2.0])
    np.testing.assert_array_equal(found.controller.step_ts, [1.0])
    assert found.controller.controller == PID
