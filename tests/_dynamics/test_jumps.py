import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import integrate


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
