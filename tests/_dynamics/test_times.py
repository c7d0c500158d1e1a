"""When a solve starts, in whose clock, and what becomes of times that are wrong."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels import integrate

HOURS = np.arange(11) / 24
CLOCKS = {  # times that float32 cannot tell apart, and a rate that suits them
    "serial days": (45_000 + HOURS, 5.0),
    "days since 1970": (19_700 + HOURS, 5.0),
    "Julian days": (2_459_000 + np.arange(11.0), 1.0),
    "Unix seconds, each minute": (1.7e9 + 60 * np.arange(11.0), 1 / 300),
    "Unix seconds, each hour": (1.7e9 + 3600 * np.arange(11.0), 1 / 18_000),
    "minutes, backwards": (2.8e7 + np.arange(11.0)[::-1], -0.2),
}


def decay(t, y, rate):
    return -rate * y


def fill(t, y, rate):
    return rate * (1 - y)


def growth(t, y, args):
    """`y = y0 exp((t² - t0²) / 2)`, which depends on the time itself."""
    return t * y


class Outbreak(bjm.Module):
    """One case on day `start`, then exponential growth."""

    rate: bjm.AbstractParameter
    start: bjm.AbstractParameter

    def __call__(self, t, y, args):
        return self.rate.mean * y


@pytest.mark.parametrize("name", CLOCKS)
def test_every_clock_in_float32(name):
    ts, rate = CLOCKS[name]
    # As an array, so that all clocks use the same compiled code.
    trajectory = integrate(fill, 0.0, ts, args=jnp.float32(rate))
    exact = 1 - np.exp(-rate * (ts - ts[0]))
    assert trajectory.succeeded
    assert trajectory.ys.dtype == np.float32
    np.testing.assert_allclose(trajectory.ys, exact, atol=5e-5)
    np.testing.assert_array_equal(trajectory.ts, ts)  # float64 on the host


def test_rows_of_dates_with_padding_and_a_mask_known_late():
    """Two patients who were admitted on different days, to the minute."""
    ts = 45_000 + np.array([[0.0, 0.25, 0.5, np.nan], [700.0, 700.01, 700.1, 700.3]])
    mask = ~np.isnan(ts)

    @jax.jit
    def solve(mask):
        return integrate(
            decay, jnp.array([1.0, 2.0]), ts, mask=mask, args=3.0, batched=True
        ).ys

    exact = np.array([[1.0], [2.0]]) * np.exp(-3 * (ts - ts[:, :1]))
    np.testing.assert_allclose(solve(mask)[mask], exact[mask], rtol=2e-4)


def test_dates_go_through_whatever_takes_them():
    ts, rate = CLOCKS["Unix seconds, each minute"]
    segments = bjm.train.shooting_segments(ts, np.exp(-rate * (ts - ts[0])), 2)
    pieces = integrate(
        decay, segments.observations[:, 0], segments.ts, args=rate, batched=True
    )
    np.testing.assert_allclose(pieces.ys, segments.observations, rtol=2e-4)
    counts = bjm.train.growing_horizon(1, 2, ts, initial_share=0.2)
    np.testing.assert_array_equal(counts, np.arange(11) <= 6)

    draws = bjm.posterior_trajectories(
        Outbreak(bjm.make_parameter(rate, init_raw_stdv=1e-3), bjm.make_parameter(0.0)),
        1.0,
        ts,
        t0=ts[0] - 300,
        key=jax.random.key(0),
        num_samples=2,
        vector_field=lambda drawn: lambda t, y, args: drawn.rate.mean * y,
    )
    exact = np.exp(rate * (ts - ts[0] + 300)) * np.ones((2, 1))
    np.testing.assert_allclose(draws.ys, exact, rtol=0.5)  # the rate is drawn
    np.testing.assert_array_equal(draws.ts, ts)
    np.testing.assert_array_equal(bjm.summarise(draws).ts, ts)


def test_the_field_gets_the_time_that_it_was_promised():
    days = 45_000.5 + np.arange(4.0)
    trajectory = integrate(lambda t, y, args: jnp.cos(t), 0.0, days, t0=45_000)
    exact = np.sin(days) - np.sin(45_000)
    # To the resolution of float32 there, 1/256 of a day.
    np.testing.assert_allclose(trajectory.ys, exact, atol=1 / 256)


def value_and_slope(t0, ts, y0=1.5):
    """Of the last state, with respect to where the solve starts."""

    def last(t0):
        trajectory = integrate(growth, y0, ts, t0=t0, args=None)
        return trajectory.ys[-1], trajectory

    return jax.value_and_grad(last, has_aux=True)(t0)


def test_a_start_that_is_none_of_the_times():
    """Before them, at the first, and behind them; with its gradient."""
    ts = np.array([1.0, 1.5, 2.0])
    solve = jax.jit(value_and_slope)
    for t0, times in ((0.5, ts), (1.0, ts), (2.5, ts[::-1].copy())):
        (_, trajectory), slope = solve(t0, times)
        exact = 1.5 * np.exp((times**2 - t0**2) / 2)
        np.testing.assert_allclose(trajectory.ys, exact, rtol=3e-4)
        np.testing.assert_allclose(slope, -t0 * exact[-1], rtol=3e-3)
    single = integrate(growth, 1.5, np.array([2.0]), t0=0.5)
    np.testing.assert_allclose(single.ys, 1.5 * np.exp([1.875]), rtol=3e-4)
    here = integrate(growth, 1.5, np.array([2.0]), t0=2.0)
    assert here.succeeded
    np.testing.assert_array_equal(here.ys, [1.5])


def test_starts_of_each_row_and_a_first_time_that_does_not_count():
    t0 = np.array([0.0, 1.0])
    ts = np.array([np.nan, 1.5, 3.0])
    mask = ~np.isnan(ts)
    trajectory = integrate(
        decay, jnp.array([1.0, 2.0]), ts, t0=t0, mask=mask, args=0.7, batched=True
    )
    exact = [[1.0], [2.0]] * np.exp(-0.7 * (np.array([1.5, 3.0]) - t0[:, None]))
    np.testing.assert_allclose(trajectory.ys[:, 1:], exact, rtol=2e-4)
    np.testing.assert_array_equal(trajectory.ys[:, 0], [1.0, 2.0])  # the states at t0
    assert np.all(np.isfinite(trajectory.ts))


def test_a_start_that_is_a_parameter():
    model = Outbreak(bjm.make_parameter(0.5), bjm.make_parameter(2.0))
    days = np.array([10.0, 12.0])
    trajectory = integrate(model, 1.0, days, t0=lambda model: model.start.mean)
    np.testing.assert_allclose(trajectory.ys, np.exp(0.5 * (days - 2)), rtol=3e-4)
    draws = bjm.posterior_trajectories(
        model,
        1.0,
        days,
        t0=lambda drawn: drawn.start.mean,
        key=jax.random.key(0),
        num_samples=2,
    )
    np.testing.assert_allclose(
        draws.ys, np.exp(0.5 * (draws.ts - 2)) * [[1], [1]], 0.05
    )


WRONG = {  # what makes times wrong, and what is said of it
    "not sorted": ({"ts": np.array([0.0, 2.0, 1.0])}, "Sort them, with the data"),
    "NaN": ({"ts": np.array([0.0, np.nan, 1.0])}, "without NaN"),
    "replicates": (
        {"ts": np.array([0.0, 1.0, 1.0])},
        r"1\.0 .* more than once.*np\.unique",
    ),
    "late start": (
        {"ts": np.array([1.0, 2.0, 3.0]), "t0": 2.5},
        "`t0` must lie before all",
    ),
    "start between": (
        {"ts": np.array([3.0, 2.0, 1.0]), "t0": 2.5},
        "`t0` must lie before all",
    ),
    "start is NaN": (
        {"ts": np.array([1.0, 2.0, 3.0]), "t0": np.nan},
        "`t0` be a number",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_times_that_are_known(name):
    settings, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        integrate(decay, 1.0, **settings, args=1.0)


def test_times_too_fine_for_the_precision():
    ts = np.array([0.0, 1e7, 1e7 + 0.1])
    with pytest.raises(ValueError, match="float32 cannot tell some.*jax_enable_x64"):
        integrate(decay, 1.0, ts, args=1e-7)


def test_wrong_times_fail_where_they_are_traced():
    """Alone: the other draws are what they are without it, gradients too."""
    good = jnp.array([0.5, 1.0, 2.0, 3.0])
    rows = [good]
    for settings, _ in WRONG.values():
        row = settings["ts"]
        rows.append(jnp.array([settings.get("t0", row[0] - 1), *row]))
    rows = jnp.stack([*rows, good])

    @jax.jit
    def loss(rate, t0, ts, y0):
        def solve(t0, ts, y0):
            return integrate(decay, y0, ts, t0=t0, args=rate)

        solves = jax.vmap(solve)(t0, ts, y0)
        ends = jnp.where(solves.succeeded, solves.ys[:, -1], 0.0)
        return jnp.sum(ends), solves

    y0 = jnp.ones(len(rows)).at[-1].set(jnp.nan)
    slopes, solves = jax.grad(loss, argnums=(0, 1, 2, 3), has_aux=True)(
        0.7, rows[:, 0], rows[:, 1:], y0
    )
    np.testing.assert_array_equal(solves.succeeded, [True] + 7 * [False])
    assert np.all(np.isnan(solves.ys[1:]))
    assert np.all(solves.num_steps[1:] <= 1)
    failed = jax.tree.map(lambda leaf: leaf[1], solves.result)
    assert failed == diffrax.RESULTS.nonfinite
    end = np.exp(-0.7 * 2.5)
    np.testing.assert_allclose(slopes[0], -2.5 * end, rtol=2e-3)
    np.testing.assert_allclose(slopes[1], [0.7 * end] + 7 * [0.0], rtol=2e-3)
    np.testing.assert_allclose(slopes[2][0], [0.0, 0.0, -0.7 * end], rtol=2e-3)
    assert np.all(slopes[2][1:] == 0)
    np.testing.assert_allclose(slopes[3], [end] + 7 * [0.0], rtol=2e-3)


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


def nan_after(t, y, time):
    return jnp.where(t > time, jnp.nan, y)


def test_a_solve_that_is_stuck_ends(x64):
    """And does not use up the steps that are allowed to all others of a batch.

    No size of steps will do, at once or later.
    """
    for dtype in ("float32", "float64"):
        ts = np.array([1.0, 2.0], dtype)
        y0 = jnp.ones((), dtype)
        for time in (-1.0, 0.5):
            trajectory = integrate(
                nan_after, y0, ts, t0=0.0, args=jnp.array(time, dtype), max_steps=4096
            )
            assert not trajectory.succeeded
            assert trajectory.result == diffrax.RESULTS.dt_min_reached
            assert trajectory.num_steps < 300


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


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_a_failed_draw_under_an_adjoint_of_both_modes(mode):
    """Its gradient stays its own in reverse; forward mode goes on as before."""
    ts = np.linspace(0.0, 1.0, 3)

    def last(rate):
        trajectory = integrate(
            lambda t, y, rate: rate * y**2,
            1.0,
            ts,
            args=rate,
            adjoint=diffrax.DirectAdjoint(),
            stepsize_controller=diffrax.ConstantStepSize(),
            dt0=0.125,
            max_steps=8,
        )
        return jnp.where(trajectory.succeeded, trajectory.ys[-1], 0.0)

    rates = jnp.array([0.1, 1e10, 0.2])
    differentiate = {"reverse": jax.grad, "forward": jax.jacfwd}[mode]
    slopes = jax.jit(jax.vmap(differentiate(last)))(rates)
    np.testing.assert_allclose(slopes, [1 / 0.9**2, 0.0, 1 / 0.8**2], rtol=1e-3)


def test_events_are_in_the_clock_of_the_user():
    ts = 1024.0 + np.arange(5.0)
    event = diffrax.Event(
        lambda t, y, args, **kwargs: t - args["end"], optx.Newton(1e-4, 1e-4)
    )

    def field(t, y, args):
        return -0.5 * y

    for times, end in ((ts, 1026.5), (ts[::-1].copy(), 1025.5)):
        args = {"end": jnp.array(end)}
        trajectory = integrate(field, 1.0, times, args=args, event=event)
        assert trajectory.t_end == end
        exact = np.exp(-0.5 * (end - times[0]))
        np.testing.assert_allclose(trajectory.y_end, exact, rtol=1e-3)
