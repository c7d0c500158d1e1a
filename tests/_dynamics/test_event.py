import inspect
from functools import partial

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
from diffrax import RESULTS, Event

import BayesianJaxModels as bjm
from BayesianJaxModels import integrate
from BayesianJaxModels._dynamics.clock import UsersTime
from BayesianJaxModels._dynamics.event import End, read_with_end, with_users_words
from tests._dynamics.cases import decay

G = 9.81
FINDER = optx.Newton(1e-6, 1e-6)


def fall(t, y, args):
    return jnp.stack([y[1], jnp.full_like(y[1], -G)])


LANDED = Event(lambda t, y, args, **kwargs: y[0], FINDER)
BELOW = Event(lambda t, y, rate, **kwargs: y - 0.5, FINDER)


def drop(height, adjoint=None):
    y0, ts = jnp.stack([height, jnp.zeros_like(height)]), jnp.array([0.0, 1.0, 2.0])
    return bjm.integrate(fall, y0, ts, event=LANDED, adjoint=adjoint)


def end_of_drop(height, adjoint=None):
    trajectory = drop(height, adjoint)
    return jnp.append(trajectory.y_end, trajectory.t_end), trajectory


def test_falls_end_on_the_ground_and_one_still_falls():
    heights = np.array([1.0, 5.0, 40.0], np.float32)
    differentiate = jax.jit(jax.vmap(jax.jacrev(end_of_drop, has_aux=True)))
    slopes, trajectory = differentiate(heights)
    times = np.minimum(np.sqrt(2 * heights / G), 2.0)
    speeds, left = -G * times, heights - G * times**2 / 2
    np.testing.assert_allclose(trajectory.t_end, times, rtol=1e-5)
    np.testing.assert_allclose(trajectory.y_end[:2, 0], left[:2], atol=2e-5)
    # Tsit5 is exact here but for rounding, and its stages magnify that: their
    # coefficients add up to 27 in absolute value. With roundings at random the four
    # steps of this solve lose 9.5e-7 of the height (standard deviation); five of those.
    atol = 5e-6 * heights[2]
    np.testing.assert_allclose(trajectory.y_end[2, 0], left[2], atol=atol)
    np.testing.assert_allclose(trajectory.y_end[:, 1], speeds, rtol=1e-5)
    for found in (trajectory.ended_by_event, trajectory.event_mask):
        np.testing.assert_array_equal(found, [True, True, False])
    reached = [[True, False, False], [True, True, False], [True, True, True]]
    np.testing.assert_array_equal(trajectory.is_reached, reached)
    np.testing.assert_array_equal(np.isnan(trajectory.ys).any(-1), ~np.array(reached))
    assert not np.isinf(trajectory.ys).any()
    assert trajectory.succeeded.all()
    # By the height: of what is left, of the speed, and of the time.
    exact = [[0, -np.sqrt(G / 2 / h), np.sqrt(1 / (2 * G * h))] for h in heights[:2]]
    np.testing.assert_allclose(slopes, [*exact, [1, 0, 0]], rtol=2e-5, atol=1e-5)


def test_forward_mode_in_float64(x64):
    adjoint = diffrax.ForwardMode()
    end = jax.jit(lambda height: end_of_drop(height, adjoint)[0])
    end, slope = jax.jvp(end, (5.0,), (1.0,))
    exact = [0.0, -np.sqrt(2 * G * 5.0), np.sqrt(2 * 5.0 / G)]
    assert end.dtype == "float64"
    np.testing.assert_allclose(end, exact, rtol=1e-9, atol=1e-9)
    exact = [0.0, -np.sqrt(G / 2 / 5.0), np.sqrt(1 / (2 * G * 5.0))]
    np.testing.assert_allclose(slope, exact, rtol=1e-9, atol=1e-9)


def test_a_loss_over_what_was_reached():
    ts, data = jnp.linspace(0.0, 4.0, 9), jnp.full(9, 0.7)

    def solve(rate):
        return bjm.integrate(decay, 1.0, ts, args=rate, event=BELOW)

    @jax.jit
    @partial(jax.jacrev, has_aux=True)
    def differentiate(rate):
        trajectory = solve(rate)
        square = jnp.where(trajectory.is_reached, (trajectory.ys - data) ** 2, 0.0)
        noise = bjm.likelihoods.NormalLikelihood(rate)
        log_prob = noise.log_prob(data, trajectory.ys, mask=trajectory.is_reached)
        loss = jnp.stack([jnp.sum(square), jnp.sum(log_prob)])
        return loss, loss

    @jax.jit
    def exact(rate):
        # Halved at log(2) / rate = 1.39.
        ys = jnp.exp(-rate * ts[:3])
        log_probs = jax.scipy.stats.norm.logpdf(data[:3], ys, rate)
        return jnp.stack([jnp.sum((ys - 0.7) ** 2), jnp.sum(log_probs)])

    slopes, value = differentiate(0.5)
    np.testing.assert_allclose(value, exact(0.5), rtol=1e-3)
    np.testing.assert_allclose(slopes, jax.jacfwd(exact)(0.5), rtol=2e-3)


def test_batches_rows_of_times_and_shared_steps():
    starts = jnp.array([1.0, 4.0, 0.6])
    rows = jnp.stack([jnp.linspace(0.0, 3.0, 4), jnp.linspace(0.0, 6.0, 4)])
    rows = jnp.concatenate([rows, rows[:1] + 1.0])
    mask = jnp.array([[True] * 4, [True] * 3 + [False], [True] * 4])
    each = bjm.integrate(
        decay, starts, rows, mask=mask, args=1.0, event=BELOW, batched=True
    )
    times = np.log(starts / 0.5) + rows[:, 0]
    np.testing.assert_allclose(each.t_end, times, rtol=2e-4)
    reached = rows <= times[:, None]
    # The last of the second row does not count and repeats the one before.
    np.testing.assert_array_equal(each.is_reached, reached)
    ys = starts[:, None] * jnp.exp(rows[:, :1] - rows)
    np.testing.assert_allclose(each.ys, np.where(reached, ys, np.nan), rtol=2e-4)

    first = Event(lambda t, y, rate, **kwargs: jnp.min(y) - 0.5, FINDER)
    together = bjm.integrate(
        decay,
        starts,
        jnp.linspace(0.0, 3.0, 4),
        args=1.0,
        event=first,
        batched=True,
        shared_steps=True,
    )
    np.testing.assert_allclose(together.t_end, [np.log(0.6 / 0.5)] * 3, rtol=1e-3)
    np.testing.assert_allclose(together.y_end, starts * 0.5 / 0.6, rtol=1e-4)
    np.testing.assert_array_equal(together.is_reached, [[True] + [False] * 3] * 3)
    np.testing.assert_array_equal(together.ended_by_event, [True] * 3)
    assert together.succeeded.all()


class Falling(bjm.AbstractVectorField):
    rate: bjm.AbstractParameter
    floor: bjm.AbstractParameter

    def __call__(self, t, y, args):
        return -self.rate.mean * y * args["speed"]


def test_the_moment_of_an_event_among_dates_in_seconds():
    """`t_end` has the digits of float32, of which none are left for it."""
    seconds = 1.7e9 + np.array([0.0, 10, 30, 60, 100, 150])
    event = diffrax.Event(lambda t, y, args, **kwargs: y - 0.5, optx.Newton(1e-5, 1e-5))
    found = bjm.integrate(
        lambda t, y, rate: -rate * y, 1.0, seconds, args=0.02, event=event
    )
    np.testing.assert_allclose(found.end.since_start, np.log(2) / 0.02, rtol=1e-5)
    np.testing.assert_allclose(found.y_end, 0.5, rtol=1e-5)


def test_a_root_finder_wants_a_number():
    finder = optx.Newton(1e-5, 1e-5)
    event = diffrax.Event(lambda t, y, args, **kwargs: y < 0.5, finder)
    with pytest.raises(ValueError, match="must return a number that changes sign"):
        bjm.integrate(
            lambda t, y, args: -y, 1.0, jnp.linspace(0.0, 3.0, 4), event=event
        )


def test_conditions_see_time_args_and_the_drawn_field():
    # diffrax would give them negative time, and the field in front of `args`.
    conditions = {
        "late": lambda t, y, args, **kwargs: t - args["stop"],
        "low": lambda t, y, args, terms, **kwargs: y - terms.vector_field.floor.mean,
    }
    field = Falling(bjm.make_parameter(0.5), bjm.make_parameter(2.0))

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def solve(field, ts, stop):
        args = {"stop": stop, "speed": jnp.array(1.0)}
        trajectory = bjm.integrate(
            field, 4.0, ts, args=args, event=Event(conditions, FINDER)
        )
        return trajectory.t_end, trajectory

    forwards, backwards = jnp.array([0.0, 1.0, 9.0]), jnp.array([0.0, -1.0, -9.0])
    for ts, stop, t_end, which in (
        (forwards, 5.0, 2 * np.log(2.0), "low"),
        (forwards, 1.0, 1.0, "late"),
        (backwards, -1.5, -1.5, "late"),
    ):
        (end, trajectory), slope = solve(field, ts, stop)
        np.testing.assert_allclose(end, t_end, rtol=1e-4)
        np.testing.assert_allclose(trajectory.y_end, 4 * np.exp(-t_end / 2), rtol=1e-4)
        met = {name: bool(mask) for name, mask in trajectory.event_mask.items()}
        assert met == {name: name == which for name in conditions}
        np.testing.assert_array_equal(trajectory.is_reached, [True, True, False])
        # Of log(4 / floor) / rate, where that is the end.
        exact = np.array([-1 / (2.0 * 0.5), -np.log(2.0) / 0.25]) * (which == "low")
        found = [slope.floor.mean, slope.rate.mean]
        np.testing.assert_allclose(found, exact, rtol=1e-3, atol=1e-6)


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


def test_a_steady_state_is_where_the_solve_ended():
    steady = Event(diffrax.steady_state_event(rtol=1e-5, atol=1e-6))

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def solve(rate, span):
        trajectory = bjm.integrate(
            lambda t, y, rate: jnp.sign(span) * (1 - rate * y),
            0.0,
            jnp.stack([jnp.zeros_like(span), span]),
            args=rate,
            event=steady,
        )
        return trajectory.y_end, trajectory

    for span in (1e3, -1e3):
        (end, trajectory), slope = solve(0.5, span)
        np.testing.assert_allclose(end, 2.0, rtol=2e-5)
        assert 0 < trajectory.t_end / span < 0.1
        np.testing.assert_array_equal(trajectory.is_reached, [True, False])
        np.testing.assert_array_equal(trajectory.ys, [0.0, np.nan])
        assert trajectory.succeeded
        np.testing.assert_allclose(slope, -1 / 0.5**2, rtol=1e-3)


def test_ends_without_a_root_finder_at_the_start_and_in_failure():
    ts = jnp.linspace(0.0, 4.0, 5)

    @jax.jit
    def solve(y0, stop):
        rises = Event(lambda t, y, stop, **kwargs: y > stop)
        return bjm.integrate(
            lambda t, y, stop: y**2, y0, ts, args=stop, event=rises, max_steps=64
        )

    steps = solve(0.5, 1.0)  # 1 / (2 - t): at the end of a step, so after the time
    assert 1.0 < steps.t_end < 2.0
    np.testing.assert_allclose(steps.y_end, 1 / (2 - steps.t_end), rtol=1e-3)
    np.testing.assert_allclose(steps.ys[:2], [0.5, 1.0], rtol=1e-4)
    assert steps.succeeded
    assert steps.result == RESULTS.event_occurred

    at_once = solve(0.5, 0.1)
    assert (at_once.t_end, at_once.y_end, at_once.num_steps) == (0.0, 0.5, 0)
    np.testing.assert_array_equal(at_once.is_reached, [True] + [False] * 4)
    np.testing.assert_array_equal(at_once.ys, [0.5] + [np.nan] * 4)
    assert at_once.succeeded
    assert at_once.ended_by_event

    never = solve(0.4, np.inf)  # infinite at 2.5
    assert never.result == RESULTS.max_steps_reached
    assert not never.succeeded
    assert not never.ended_by_event
    np.testing.assert_allclose(never.t_end, 2.5, rtol=1e-3)
    np.testing.assert_array_equal(never.is_reached, [True, True, True, False, False])

    # A state that left the numbers is no event, whatever its condition says.
    nan = bjm.integrate(
        lambda t, y, args: y * jnp.nan,
        1.0,
        ts,
        event=Event(lambda t, y, args, **kwargs: y - 0.5),
        stepsize_controller=diffrax.ConstantStepSize(),
        dt0=0.5,
    )
    assert nan.result == RESULTS.event_occurred
    assert not nan.succeeded


def test_draws_of_a_posterior(key):
    field = Falling(bjm.make_parameter(0.5, init_raw_stdv=0.3), bjm.make_parameter(0.5))
    low = Event(lambda t, y, args, terms, **kwargs: y - 0.5, FINDER)
    ts = jnp.linspace(0.0, 2.0, 9)
    given = {"args": {"speed": 1.0}, "event": low, "key": key, "num_samples": 100}
    draws = bjm.posterior_trajectories(field, 1.0, ts, **given)
    rates = bjm.map_posterior(
        lambda drawn: drawn.rate.mean, field, key=key, num_samples=100
    )
    times = np.log(2.0) / rates
    np.testing.assert_allclose(draws.t_end, np.minimum(times, 2.0), rtol=2e-4)
    assert 50 < np.sum(times < 2.0) < 99
    summary = bjm.summarise(draws)
    running = times[:, None] >= ts
    np.testing.assert_allclose(summary.share_running, running.mean(axis=0), rtol=1e-6)
    ys = np.where(running, np.exp(-rates[:, None] * ts), np.nan)
    np.testing.assert_allclose(summary.mean, np.nanmean(ys, axis=0), rtol=1e-3)
    assert draws.succeeded.all()


def test_an_event_is_an_event():
    with pytest.raises(TypeError, match=r"`event` must be a `diffrax.Event`, but"):
        with_users_words(lambda t, y, args: y < 0.5)


class Terms(eqx.Module):
    """Those of a solve that diffrax runs in negative time, or not."""

    direction: int
    vector_field: object


def test_conditions_are_called_as_their_writer_expects():
    calls = []

    def condition(t, y, args, **kwargs):
        calls.append((t, y, args, kwargs))
        return y < 0.5

    event = with_users_words(Event({"low": condition}))
    users_time = UsersTime(jnp.array(10.0), None)
    given = ("the field", "the args", users_time)
    backwards = Terms(-1, decay)
    times = {"t0": jnp.array(0.25), "t1": jnp.array(0.5)}
    event.cond_fn["low"](jnp.array(0.5), 0.2, given, terms=backwards, **times, more=3)
    [(t, y, args, kwargs)] = calls
    assert (t, y, args, kwargs["more"]) == (9.5, 0.2, "the args", 3)
    assert (kwargs["t0"], kwargs["t1"]) == (9.75, 9.5)
    assert kwargs["terms"].vector_field == "the field"


def test_only_a_condition_alone_is_held_to_a_number():
    """Of several, some may be booleans, which have no root to find."""

    def boolean(t, y, args, **kwargs):
        return jnp.array(True)

    call = (jnp.array(0.5), 0.2, (None, None, UsersTime(jnp.array(0.0), None)))
    words = {"terms": Terms(1, decay), "t0": jnp.array(0.0), "t1": jnp.array(1.0)}
    for event in (Event(boolean), Event([boolean], FINDER)):
        [condition] = jax.tree.leaves(with_users_words(event).cond_fn, is_leaf=callable)
        assert condition(*call, **words)
    with pytest.raises(ValueError, match="changes sign.*returns a boolean"):
        with_users_words(Event(boolean, FINDER)).cond_fn(*call, **words)


def test_the_end_of_states_that_were_solved_together_is_that_of_each():
    end = End(
        jnp.array(2.0),
        jnp.array([1.0, 3.0]),
        {"low": jnp.array(True)},
        jnp.array([True, False, False]),
        jnp.array(0.5),
    ).shared_by(2)
    np.testing.assert_array_equal(end.t, [2.0, 2.0])
    np.testing.assert_array_equal(end.y, [1.0, 3.0])
    np.testing.assert_array_equal(end.event_mask["low"], [True, True])
    np.testing.assert_array_equal(end.is_reached, [[True, False, False]] * 2)
    np.testing.assert_array_equal(end.since_start, [0.5, 0.5])


def test_what_was_not_reached_is_nan_and_the_end_itself_is_kept():
    class Solution(eqx.Module):
        ts: tuple
        ys: tuple
        event_mask: jax.Array

    ts, inf = jnp.array([0.0, 1.0, 1.5, 2.0]), jnp.inf
    saved = jnp.array([[1.0, 1.0], [2.0, 2.0], [inf, inf], [inf, inf]])
    for t_end, third in ((1.5, [7.0, 8.0]), (1.2, [np.nan, np.nan])):
        solution = Solution(
            (jnp.array([0.0, 1.0, inf, inf]), jnp.array([t_end])),
            (saved, jnp.array([[7.0, 8.0]])),
            jnp.array(True),
        )
        # The annotation is of diffrax's own solution.
        users_time = UsersTime(jnp.array(100.0), None)
        ys, end = inspect.unwrap(read_with_end)(solution, ts, users_time)
        reached = [True, True, t_end == 1.5, False]
        np.testing.assert_array_equal(end.is_reached, reached)
        np.testing.assert_array_equal(ys[:2], saved[:2])
        np.testing.assert_array_equal(ys[2], third)
        assert np.isnan(ys[3]).all()
        assert end.since_start == jnp.float32(t_end)
        assert end.t == jnp.float32(100 + t_end)
        np.testing.assert_array_equal(end.y, [7.0, 8.0])


@pytest.mark.parametrize(
    "wrong", [lambda t, y, args: y, None, 3], ids=["function", "none", "number"]
)
def test_what_is_no_event_says_how_one_is_written(wrong):
    message = rf"is a {type(wrong).__name__}. Write `diffrax.Event\(lambda t, y, args"
    with pytest.raises(TypeError, match=message):
        with_users_words(wrong)
