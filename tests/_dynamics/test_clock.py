"""When a solve starts, in whose clock, and what becomes of times that are wrong."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels import integrate
from BayesianJaxModels._dynamics.clock import (
    UsersTime,
    check_times,
    read_clock,
    read_times,
)
from tests._dynamics.cases import TS, decay, linear

HOURS = np.arange(11) / 24
CLOCKS = {  # times that float32 cannot tell apart, and a rate that suits them
    "serial days": (45_000 + HOURS, 5.0),
    "days since 1970": (19_700 + HOURS, 5.0),
    "Julian days": (2_459_000 + np.arange(11.0), 1.0),
    "Unix seconds, each minute": (1.7e9 + 60 * np.arange(11.0), 1 / 300),
    "Unix seconds, each hour": (1.7e9 + 3600 * np.arange(11.0), 1 / 18_000),
    "minutes, backwards": (2.8e7 + np.arange(11.0)[::-1], -0.2),
}


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


@pytest.mark.parametrize(
    "ts", [[0.0, 2.0, 1.0], [0.0, 1.0, 1.0], [0.0, jnp.nan, 1.0]], ids=str
)
def test_times_that_do_not_run_one_way(ts):
    with pytest.raises(
        ValueError, match="`ts` must be strictly increasing or strictly"
    ):
        integrate(linear(), jnp.ones(2), jnp.array(ts))


@pytest.mark.parametrize("shape", [(1,), (0,)])
def test_too_few_times(shape):
    with pytest.raises(ValueError, match=r"`ts` must be at least two times.*has shape"):
        integrate(linear(), jnp.ones(2), jnp.zeros(shape))


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


def test_each_row_is_the_solve_of_its_own_times():
    nan = np.nan
    ts = np.array(
        [
            [0.0, 0.5, 1.0, nan, nan],
            [0.0, 1.0, 1.5, 1.6, 2.0],
            [1.0, 0.0, 9.0, 9.0, 0.0],
        ]
    )
    ts = ts.astype(np.float32)
    lengths = (3, 5, 2)
    mask = np.arange(5) < np.array(lengths)[:, None]
    y0 = jnp.array([[1.0, 2.0], [0.5, 1.0], [2.0, 0.1]])
    expected = y0[:, None] * np.exp(-0.7 * (ts - ts[:, :1]))[..., None]

    trajectory = integrate(decay, y0, ts, args=0.7, mask=mask, batched=True)
    assert trajectory.ts.shape == trajectory.ys.shape[:2] == (3, 5)
    assert jnp.all(trajectory.succeeded)
    for row, length in enumerate(lengths):
        ys = trajectory.ys[row]
        np.testing.assert_allclose(ys[:length], expected[row, :length], rtol=2e-4)
        np.testing.assert_array_equal(
            ys[length:], jnp.tile(ys[length - 1], (5 - length, 1))
        )

    @jax.jit
    @jax.grad
    def slope(rate, ts, mask):
        solves = integrate(decay, y0, ts, args=rate, mask=mask, batched=True)
        return jnp.sum(jnp.where(mask[..., None], solves.ys, 0.0))

    since = np.where(mask, ts - ts[:, :1], 0.0)[..., None]
    exact = -np.sum(np.where(mask[..., None], since * expected, 0.0))
    np.testing.assert_allclose(slope(0.7, ts, mask), exact, rtol=1e-3)


def test_times_in_the_middle_may_be_left_out():
    ts = jnp.array([0.0, jnp.nan, 1.0, 1.5])
    mask = jnp.array([True, False, True, True])
    trajectory = integrate(decay, jnp.ones(1), ts, args=1.0, mask=mask)
    expected = np.exp(-np.array([0.0, 0.0, 1.0, 1.5]))
    np.testing.assert_allclose(trajectory.ys[:, 0], expected, rtol=2e-4)


@pytest.mark.parametrize("mask", [np.ones(4, bool), np.ones(5, int)])
def test_masks_of_another_shape_or_type(mask):
    with pytest.raises((ValueError, TypeError), match="mask"):
        integrate(decay, jnp.ones(2), TS, args=1.0, mask=mask)


@pytest.mark.parametrize("counts", ["01111", "10000"])
def test_masks_that_leave_nothing_to_solve(counts):
    mask = jnp.array([count == "1" for count in counts])
    with pytest.raises(ValueError, match="`mask` must keep the first time"):
        integrate(decay, jnp.ones(2), TS, args=1.0, mask=mask)
    solve = jax.jit(lambda m: integrate(decay, jnp.ones(2), TS, args=1.0, mask=m))
    assert not solve(mask).succeeded


def test_compiled_code_solves_at_known_times_as_the_host_does():
    """Padding at both ends, NaN in it, one row forwards and one backwards."""
    ts = np.array([[np.nan, 1.0, np.nan, 2.0, 9.0], [3.0, 1.5, 1.0, 0.5, np.nan]])
    mask = np.isfinite(ts) & (ts != 9)
    solve = bjm.Solve(
        ts, mask=mask, t0=jnp.array([0.5, 4.0]), y0=jnp.ones((2, 1)), batched=True
    )
    here, compiled = solve(growth), eqx.filter_jit(solve)(growth)
    t0 = np.array([[0.5], [4.0]])
    exact = np.exp((ts**2 - t0**2) / 2)
    for found in (here, compiled):
        assert found.succeeded.all()
        np.testing.assert_allclose(found.ys[mask][:, 0], exact[mask], rtol=1e-3)
    np.testing.assert_allclose(compiled.ys, here.ys, rtol=1e-5)


def test_known_times_that_were_replaced_or_have_a_start_inside_of_them_fail():
    solve = bjm.Solve(TS, y0=jnp.ones(1), t0=lambda model: model)
    by_time = eqx.filter_jit(
        lambda solve, t0: solve.replace(vector_field=lambda _: growth)(t0).succeeded
    )
    assert by_time(solve, jnp.array(-1.0))
    assert by_time(solve.at(TS[::-1]), jnp.array(TS[-1] + 1.0))
    assert not by_time(solve, jnp.array(TS[-1] + 1.0))
    assert not by_time(solve, jnp.array((TS[0] + TS[1]) / 2))
    assert not by_time(solve, jnp.array(jnp.nan))
    for wrong in (solve.clock.since[::-1], np.where(TS[1] == TS, np.nan, TS)):
        turned = eqx.tree_at(lambda solve: solve.clock.since, solve, wrong)
        assert not by_time(turned, jnp.array(-1.0))
    with pytest.raises(ValueError, match="^`mask` must keep at least one time"):
        bjm.Solve(TS, mask=np.zeros(len(TS), bool), y0=jnp.ones(1), t0=lambda m: m)


def test_rows_of_times_that_do_not_fit():
    rows = jnp.tile(TS, (3, 1))
    for settings in ({}, {"batched": True, "shared_steps": True}):
        with pytest.raises(ValueError, match="may have a row for each initial state"):
            integrate(decay, jnp.ones((3, 2)), rows, args=1.0, **settings)
    with pytest.raises(ValueError, match=r"`ts` the same .*\[\(2,\), \(3,\)\]"):
        integrate(decay, jnp.ones((2, 2)), rows, args=1.0, batched=True)


def test_known_times_keep_their_digits_and_traced_ones_are_of_jax():
    for given, dtype in (
        ([0, 1], "float64"),
        ([0.0, 1.0], "float64"),
        (np.arange(2, dtype="int8"), "float64"),
        (np.arange(2, dtype="float32"), "float32"),
        (jnp.arange(2), "float32"),
    ):
        found = read_times(np.asarray(given) if type(given) is list else given, "ts")
        assert isinstance(found, np.ndarray)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, [0.0, 1.0])
    jaxpr = jax.make_jaxpr(lambda ts: read_times(ts, "ts"))(jnp.arange(2.0))
    assert len(jaxpr.eqns) == 0


def test_times_that_are_no_numbers_are_named():
    dates = np.array(["2026-01-01", "2026-01-02"], "datetime64[D]")
    message = r"^`jump_ts` must be numbers, but has dtype datetime64\[D\]. Count from"
    with pytest.raises(TypeError, match=message):
        read_times(dates, "jump_ts")
    for given in (None, np.array(["a", "b"]), np.array([True, False]), np.ones(2) * 1j):
        with pytest.raises(TypeError, match="^`t0` must be a real number"):
            read_times(given, "t0")


def test_dates_lose_no_digit_on_the_way_to_the_start():
    """In float32 a second of 1.7e9 is worth 128."""
    ts = 1.7e9 + np.array([0.0, 1.0, 2.5, 1000.25])
    span = read_clock(ts, jump_ts=ts[1:3] + 0.125).begin()
    assert span.elapsed.dtype == "float32"
    np.testing.assert_array_equal(span.elapsed, [0.0, 1.0, 2.5, 1000.25])
    np.testing.assert_array_equal(span.jump_ts, [1.125, 2.625])
    earlier = read_clock(ts).begin(1.7e9 - 0.5)
    np.testing.assert_array_equal(earlier.elapsed, [0.5, 1.5, 3.0, 1000.75])
    assert earlier.start == np.float32(1.7e9 - 0.5)
    assert span.is_valid
    assert read_clock(ts).counted_from(1.7e9 - 0.5).begin(1.7e9).elapsed[1] == 1.0


def test_times_that_do_not_count_are_those_before_them():
    mask = np.array([[True, False, True, True], [True, True, False, False]])
    ts = np.array([[1.0, np.nan, 3.0, 4.0], [5.0, 6.0, 0.0, np.inf]])
    clock = read_clock(ts, mask, rows=True)
    np.testing.assert_array_equal(clock.ts, [[1, 1, 3, 4], [5, 6, 6, 6]])
    np.testing.assert_array_equal(clock.begin().elapsed, [[0, 0, 2, 3], [0, 1, 1, 1]])
    traced = jax.jit(lambda ts, mask: read_clock(ts, mask, rows=True).begin())(ts, mask)
    np.testing.assert_array_equal(traced.elapsed, clock.begin().elapsed)
    np.testing.assert_array_equal(traced.is_valid, [True, True])
    # Those before the first that counts are that one; with a start that is allowed.
    late = read_clock(ts[:1], ~mask[:1], least=1, rows=True)
    np.testing.assert_array_equal(late.ts, np.full((1, 4), np.nan))
    first = np.array([False, True, True, True])
    late = read_clock(np.array([9.0, 1.0, 2.0, 3.0]), first).begin(0.0)
    np.testing.assert_array_equal(late.elapsed, [0.0, 1.0, 2.0, 3.0])


def test_what_has_rows_says_so():
    rows, ts = np.arange(6.0).reshape(2, 3), np.arange(3.0)
    span = read_clock(rows, jump_ts=np.ones(1), rows=True).begin()
    # Jumps too, counted from the start of each row.
    assert jax.tree.leaves(span.axes) == [0, 0, 0, 0]
    one = read_clock(ts, jump_ts=np.ones(1)).begin()
    assert jax.tree.leaves(one.axes) == []
    of_starts = read_clock(ts + 5, rows=True).begin(np.array([0.0, 1.0]))
    np.testing.assert_array_equal(of_starts.elapsed, [[5, 6, 7], [4, 5, 6]])
    assert read_clock(ts, jump_ts=np.zeros(0)).jump_ts is None


def test_axes_that_times_cannot_have():
    ts, rows = np.arange(3.0), np.arange(6.0).reshape(2, 3)
    with pytest.raises(ValueError, match=r"^`ts` must be times in one axis.*\(2, 3\)"):
        read_clock(rows)
    with pytest.raises(ValueError, match=r"^`jump_ts` must be times in one axis.*\(\)"):
        read_clock(ts, jump_ts=1.0)
    with pytest.raises(ValueError, match=r"^`t0` must be one number.*\(2,\)"):
        read_clock(ts).begin(np.zeros(2))
    with pytest.raises(ValueError, match="^`jump_ts` has 3 rows and `ts` 2. They must"):
        read_clock(rows, jump_ts=np.ones((3, 1)), rows=True)
    with pytest.raises(ValueError, match="^`t0` has 3 rows and `ts` 2"):
        read_clock(rows, rows=True).begin(np.zeros(3))
    with pytest.raises(ValueError, match="^`ts` must be at least one time, but has sh"):
        read_clock(np.zeros(0), least=1)
    with pytest.raises(ValueError, match="^`mask` must keep at least one time.$"):
        read_clock(ts, np.zeros(3, bool)).begin(0.0)


def test_times_that_run_one_way_are_returned_as_they_are():
    for ts in (np.array([0.0, 1.0, 3.0]), np.array([3.0, 1.0]), jnp.arange(3.0)):
        np.testing.assert_array_equal(check_times(ts), ts)
    message = "^`ts` must be strictly increasing or strictly decreasing. Sort them"
    with pytest.raises(ValueError, match=message):
        check_times(np.array([0.0, 2.0, 1.0]))
    traced = jax.jit(check_times)(jnp.array([0.0, 2.0, 1.0]))
    np.testing.assert_array_equal(traced, [0.0, 2.0, 1.0])


def test_no_time_is_rounded_to_the_other_side_of_a_jump():
    """At 2e4 the numbers of float32 lie 1/512 apart, much wider than near zero."""
    start, jump = jnp.array(2e4), jnp.array(1.0)
    time = UsersTime(start, jump[None])
    before, after = jnp.nextafter(jump, 0.0), jnp.nextafter(jump, 2.0)
    at = np.float32(20_001)
    assert start + before == start + after == at
    assert time(jump) == at
    assert time(before) == np.nextafter(at, np.float32(0))
    assert time(after) == np.nextafter(at, np.float32(1e9))
    # Elsewhere it is the sum, and its slope is that of the sum everywhere.
    assert time(jnp.float32(3.0)) == 20_003
    for t in (before, jump, after, jnp.float32(3.0)):
        assert jax.grad(time)(jnp.asarray(t)) == 1
    assert UsersTime(start, None)(before) == at
    padded = UsersTime(jnp.float32(0.0), jnp.array([jnp.inf, 2.0]))
    assert padded(jnp.float32(1.5)) == 1.5


@pytest.mark.parametrize("wrong", [[0.1, 1.0, 2.0], [5.0, 5.6], np.arange(1, 15)])
def test_a_first_sample_that_may_come_after_the_start_is_not_silent(wrong):
    ts = np.asarray(wrong, float)
    words = f"`y0` is taken for the state at {ts[0]:g}, .*`t0={ts[0]:g}`, or `t0=0.0`"
    for solve in (
        lambda: integrate(lambda t, y, args: -y, 1.0, ts),
        lambda: bjm.Solve(ts, y0=1.0),
        lambda: jax.jit(lambda y: integrate(lambda t, y, args: -y, y, ts).ys)(1.0),
    ):
        with pytest.warns(UserWarning, match=words) as said:
            solve()
        assert [warning.filename for warning in said] == [__file__]


def test_a_start_that_was_said_or_is_plain_gives_no_warning():
    """All warnings are errors in these tests."""
    ts = np.array([0.1, 1.0, 2.0])
    for t0 in (0.1, 0.0, lambda model: 0.0):
        bjm.Solve(ts, t0=t0, y0=1.0)
    for plain in (ts - 0.1, 1900.0 + ts, ts[::-1], -ts[::-1]):
        bjm.Solve(plain, y0=1.0)


def test_with_its_time_the_start_is_where_the_dose_was():
    """A dose at zero, and the first sample after it."""
    ts = np.array([0.1, 1.0, 2.0])
    solved = integrate(lambda t, y, args: -y, 1.0, ts, t0=0.0)
    np.testing.assert_allclose(solved.ys, np.exp(-ts), rtol=1e-4)
