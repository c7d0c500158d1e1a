"""Doses beside the closed forms of one and two compartments."""

from functools import partial

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels import Doses, integrate

TS = np.array([0.0, 1.0, 6.0, 12.0, 13.0, 18.0, 24.0, 30.0])
ABSORPTION, ELIMINATION = 1.0, 0.1
FINE = {"rtol": 1e-9, "atol": 1e-9}


def one_compartment(t, y, rate):
    return -rate * y


def with_gut(t, y, args):
    into_blood = ABSORPTION * y[0]
    return jnp.stack([-into_blood, into_blood - ELIMINATION * y[1]])


def bolus(ts, amount, start, rate=ELIMINATION):
    since = ts - start
    return np.where(since > 0, amount * np.exp(-rate * np.maximum(since, 0)), 0)


def oral(ts, amount, start):
    of_rates = bolus(ts, amount, start) - bolus(ts, amount, start, ABSORPTION)
    return ABSORPTION / (ABSORPTION - ELIMINATION) * of_rates


def infusion(ts, amount, start, duration, rate=ELIMINATION):
    since, flow = np.maximum(ts - start, 0), amount / duration
    during = np.minimum(since, duration)
    full = flow / rate * (1 - np.exp(-rate * during))
    return full * np.exp(-rate * (since - during))


@pytest.mark.parametrize("saved", ["before", "after"])
def test_boluses_and_infusions_are_their_closed_forms(saved, x64):
    doses = Doses(
        [0.0, 1.0, 12.0], [40.0, 60.0, 50.0], duration=[0.0, 3.0, 0.0], saved=saved
    )
    found = integrate(one_compartment, 0.0, TS, args=ELIMINATION, jumps=doses, **FINE)
    exact = bolus(TS, 40, 0) + infusion(TS, 60, 1, 3) + bolus(TS, 50, 12)
    if saved == "after":
        exact = exact + np.where(TS == 0, 40, 0) + np.where(TS == 12, 50, 0)
    assert found.succeeded
    np.testing.assert_allclose(found.ys, exact, atol=1e-6)


def test_repeated_oral_doses_come_to_their_steady_state(x64):
    ts = np.linspace(0.0, 12.0, 7) + 12.0 * 40
    doses = Doses(0.0, 100.0, into=0, every=12.0, number=41)
    found = integrate(
        with_gut, np.zeros(2), ts[1:], t0=0.0, jumps=doses, max_steps=None, **FINE
    )
    since = ts[1:] - ts[0]
    terms = [
        np.exp(-rate * since) / (1 - np.exp(-rate * 12))
        for rate in (ELIMINATION, ABSORPTION)
    ]
    steady = 100 * ABSORPTION / (ABSORPTION - ELIMINATION) * (terms[0] - terms[1])
    np.testing.assert_allclose(found.ys[:, 1], steady, rtol=1e-6)


def test_two_compartments_by_the_exponential_of_their_matrix(x64):
    """A loading bolus and an infusion at one time, into parts of a dictionary."""
    matrix = np.array([[-0.7, 0.2], [0.4, -0.2]])

    def field(t, y, args):
        a, b = y["blood"], y["tissue"]
        return {
            "blood": matrix[0, 0] * a + matrix[0, 1] * b,
            "tissue": matrix[1, 0] * a + matrix[1, 1] * b,
        }

    values, vectors = np.linalg.eig(matrix)

    def flow(t):
        return (vectors * np.exp(values * t)) @ np.linalg.inv(vectors)

    jumps = (
        Doses(2.0, 10.0, into="blood"),
        Doses(2.0, 30.0, into="blood", duration=5.0),
    )
    start = {"blood": jnp.array(1.0), "tissue": jnp.array(0.5)}
    found = integrate(field, start, TS, jumps=jumps, **FINE)
    flowing = np.array([6.0, 0.0])
    for t, blood, tissue in zip(TS, *found.ys.values(), strict=True):
        exact = flow(t) @ [1.0, 0.5]
        if t > 2:
            exact = exact + flow(t - 2) @ [10.0, 0.0]
            late = max(t - 7, 0)
            steady = np.linalg.solve(matrix, (flow(t - 2) - flow(late)) @ flowing)
            exact = exact + steady
        np.testing.assert_allclose([blood, tissue], exact, atol=1e-6)


def test_gradients_reach_amounts_times_and_durations(x64):
    def last(amounts, times, duration):
        doses = Doses(times, amounts, duration=jnp.stack([duration, 0.0 * duration]))
        ys = integrate(
            one_compartment, 0.0, TS, args=ELIMINATION, jumps=doses, rtol=1e-10
        ).ys
        return ys[-1]

    def exact(amounts, times, duration):
        first = infusion(30.0, amounts[0], times[0], duration)
        return first + bolus(30.0, amounts[1], times[1])

    at = (np.array([60.0, 50.0]), np.array([1.5, 11.0]), np.array(3.0))
    found = jax.jit(jax.grad(last, (0, 1, 2)))(*map(jnp.asarray, at))
    for place, slope in enumerate(found):
        for index in np.ndindex(slope.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [np.array(x) for x in at]
                moved[place][index] += step
                ends.append(exact(*moved))
            expected = (ends[0] - ends[1]) / 2e-5
            np.testing.assert_allclose(slope[index], expected, rtol=1e-5)


def test_gradients_of_times_forwards(x64):
    """Of every saved state, with a time that is a parameter's."""

    def states(lag):
        return integrate(
            one_compartment,
            0.0,
            TS,
            args=ELIMINATION,
            jumps=Doses(lag, 100.0),
            adjoint=diffrax.ForwardMode(),
            **FINE,
        ).ys

    found = jax.jacfwd(states)(2.0)
    np.testing.assert_allclose(found, ELIMINATION * bolus(TS, 100, 2), atol=1e-6)


def test_padding_has_no_gradient_and_spoils_none(x64):
    def total(amounts, durations, times):
        doses = Doses(times, amounts, duration=durations)
        ys = integrate(one_compartment, 0.0, TS, args=ELIMINATION, jumps=doses).ys
        return jnp.sum(ys)

    padded = [jnp.array([3.0, jnp.nan]), jnp.array([2.0, jnp.nan])]
    whole = [x[:1] for x in padded]
    slope = jax.jit(jax.grad(total, (0, 1, 2)))
    expected = slope(*whole, jnp.array([1.5]))
    found = slope(*padded, jnp.array([1.5, jnp.nan]))
    for with_padding, without in zip(found, expected, strict=True):
        np.testing.assert_allclose(with_padding, [without[0], 0.0], rtol=1e-9)


@pytest.mark.parametrize("shared_steps", [False, True])
def test_each_of_several_states_has_doses_of_its_own(shared_steps, x64):
    times = np.array([[0.0, 12.0], [6.0, np.nan]])
    amounts = np.array([[100.0, 50.0], [80.0, np.nan]])
    settings = {"args": ELIMINATION, "batched": True, **FINE}
    if shared_steps:
        settings |= {"shared_steps": True}
        found = integrate(
            one_compartment,
            np.array([0.0, 7.0]),
            TS,
            jumps=Doses(6.0, 80.0),
            **settings,
        )
        exact = [bolus(TS, 80, 6), 7 * np.exp(-ELIMINATION * TS) + bolus(TS, 80, 6)]
    else:
        found = integrate(
            one_compartment, np.zeros(2), TS, jumps=Doses(times, amounts), **settings
        )
        exact = [bolus(TS, 100, 0) + bolus(TS, 50, 12), bolus(TS, 80, 6)]
    assert found.succeeded.all()
    np.testing.assert_allclose(found.ys, exact, atol=1e-6)


def test_draws_of_a_posterior_with_a_lag_of_their_own():
    class Kinetics(bjm.AbstractVectorField):
        rate: bjm.AbstractParameter
        lag: bjm.AbstractParameter

        def __call__(self, t, y, args):
            return -self.rate.value * y

    model = Kinetics(
        bjm.make_parameter(0.1, support="positive", stdv=0.1),
        bjm.make_parameter(1.0, support="positive", stdv=0.1),
    )
    found = bjm.posterior_trajectories(
        model,
        0.0,
        TS,
        key=jax.random.key(0),
        num_samples=5,
        jumps=lambda m: Doses(m.lag.value, 100.0),
    )
    drawn = bjm.map_posterior(
        lambda m: (m.rate.value, m.lag.value),
        model,
        key=jax.random.key(0),
        num_samples=5,
    )
    for ys, rate, lag in zip(found.ys, *drawn, strict=True):
        np.testing.assert_allclose(ys, bolus(TS, 100, lag, rate), rtol=1e-4, atol=1e-4)


def test_dates_keep_their_digits():
    ts = 45_000 + np.array([0.25, 0.5, 0.75])
    solve = bjm.Solve(ts, t0=45_000.0, y0=0.0, args=1.0, jumps=Doses(45_000.125, 100.0))
    compiled = eqx.filter_jit(solve)(one_compartment).ys
    exact = bolus(ts - 45_000, 100, 0.125, 1.0)
    np.testing.assert_allclose(compiled, exact, rtol=1e-4)
    later = solve.at(45_000 + np.array([2.0, 3.0]))
    np.testing.assert_allclose(
        later(one_compartment).ys,
        bolus(np.array([2.0, 3.0]), 100, 0.125, 1.0),
        rtol=1e-4,
    )
    assert "1 Doses" in str(solve)
    finer = solve.replace(rtol=1e-6)
    np.testing.assert_allclose(finer(one_compartment).ys, exact, rtol=1e-5)


WRONG = {
    "unsorted": (([2.0, 1.0], 5.0), {}, "must be in order, but 1 comes after 2"),
    "twice": (([1.0, 1.0], 5.0), {}, "`times` has 1 twice. Add up what happens then"),
    "overlap": (
        ([0.0, 2.0], 5.0),
        {"duration": 3.0},
        "that at 0 lasts until 3, and the next begins at 2",
    ),
    "negative": (
        ([0.0, 2.0], 5.0),
        {"duration": [1.0, -1.0]},
        "not negative, but that of the dose at 2 is -1",
    ),
    "amounts": (([0.0, 2.0], [1.0, 2.0, 3.0]), {}, r"the shape of `times`, \(2,\)"),
    "not finite": (
        ([0.0, 2.0], [1.0, np.nan]),
        {},
        "must be finite, but at 2 it is nan",
    ),
    "padding first": (([np.nan, 2.0], 1.0), {}, "padding, and must come last"),
    "alone": ((0.0, 1.0), {"every": 12.0}, "`every` and `number` go together"),
    "repeats": (([0.0, 1.0], 1.0), {"every": 12.0, "number": 3}, "must be one number"),
    "saved": ((0.0, 1.0), {"saved": "during"}, "must be 'before' or 'after'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_doses_are_named(name):
    inputs, settings, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        Doses(*inputs, **settings)


@pytest.mark.parametrize(
    ("into", "state", "message"),
    [
        (2, np.zeros(2), "`into` is 2, but the state has 2 compartments"),
        (None, np.zeros(2), "must say which of 2 compartments"),
        ("blood", np.zeros(2), "`into` is 'blood', but the state has 2 compartments"),
        (0, 0.0, "the state has one number and no compartments"),
        ("gut", {"blood": 0.0}, r"parts of the state are \['blood'\]"),
    ],
)
def test_a_compartment_that_is_not_there_is_named(into, state, message):
    def still(t, y, args):
        return jax.tree.map(jnp.zeros_like, y)

    with pytest.raises(ValueError, match=message):
        integrate(still, state, TS, jumps=Doses(1.0, 1.0, into))


def test_what_is_no_compartment_or_dose_is_refused():
    with pytest.raises(TypeError, match="must be an index or the name"):
        Doses(1.0, 1.0, into=1.5)
    with pytest.raises(TypeError, match="`jumps` must be `Jumps`, `Doses`"):
        integrate(one_compartment, 0.0, TS, args=1.0, jumps=[1.0])
    with pytest.raises(ValueError, match="0 before|-1, which is before the start at 0"):
        integrate(one_compartment, 0.0, TS, args=1.0, jumps=Doses(-1.0, 1.0))
    constant = {"stepsize_controller": diffrax.ConstantStepSize(), "dt0": 0.1}
    with pytest.raises(ValueError, match="`jumps` need an adaptive"):
        integrate(one_compartment, 0.0, TS, args=1.0, jumps=Doses(1.0, 1.0), **constant)
    with pytest.raises(ValueError, match="cannot be solved for backwards"):
        integrate(
            one_compartment,
            0.0,
            TS,
            args=1.0,
            jumps=Doses(1.0, 1.0),
            adjoint=diffrax.BacksolveAdjoint(),
        )


@pytest.mark.parametrize("ulps", [0, 1, 2, 3, 9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_doses_a_few_numbers_apart_are_all_given(ulps, dtype, request):
    if dtype == "float64":
        request.getfixturevalue("x64")
    later = time = np.dtype(dtype).type(0.3)
    for _ in range(ulps):
        later = np.nextafter(later, np.inf, dtype=dtype)
    ts = np.array([0.0, 0.55, 1.0])
    exact = bolus(ts, 15, 0.3) + infusion(ts, 4, 0.3, 0.1)
    jumps = (Doses(time, 10.0), Doses(later, 5.0), Doses(later, 4.0, duration=0.1))
    found = integrate(one_compartment, 0.0, ts, args=ELIMINATION, jumps=jumps)
    assert found.succeeded
    np.testing.assert_allclose(found.ys, exact, rtol=1e-4)
    if ulps > 0:
        both = Doses(np.array([time, later]), [10.0, 5.0])
        found = integrate(one_compartment, 0.0, ts, args=ELIMINATION, jumps=both)
        np.testing.assert_allclose(found.ys, bolus(ts, 15, 0.3), rtol=1e-4)


@pytest.mark.parametrize("saved", ["before", "after"])
@pytest.mark.parametrize("of_model", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saved_times_of_decimal_numbers_are_those_of_doses(
    saved, of_model, dtype, request
):
    """Counted from the start by another way, they differ by a rounding error."""
    if dtype == "float64":
        request.getfixturevalue("x64")
    rng = np.random.default_rng(0)
    for offset in (0, 100):
        ts = offset + np.sort(rng.choice(np.arange(10, 200), 6, replace=False)) / 10
        t0 = offset + 0.7
        doses = Doses(ts[1:4], 10.0, saved=saved)
        solve = bjm.Solve(
            ts,
            t0=t0,
            y0=0.0,
            args=ELIMINATION,
            jumps=(lambda _: doses) if of_model else doses,  # noqa: B023
        )
        exact = sum(bolus(ts, 10, start) for start in ts[1:4])
        if saved == "after":
            exact = exact + 10 * np.isin(ts, ts[1:4])

        def of_traced(field, starts, solve=solve):
            return solve.replace(jumps=Doses(starts, 10.0, saved=saved))(field)

        traced = partial(eqx.filter_jit(of_traced), starts=jnp.asarray(ts[1:4]))
        for call in (solve, eqx.filter_jit(solve), traced):
            np.testing.assert_allclose(call(one_compartment).ys, exact, rtol=2e-4)


@pytest.mark.parametrize(
    ("time", "duration"),
    [(9_999.3, 1 / 120), (1_000.3, 1 / 60), (1.0, 1e-7), (1.0, 1e-30)],
)
def test_short_infusions_late_in_single_precision_bring_all_of_it(time, duration):
    ts = np.array([0.0, time + 1, time + 2])
    found = integrate(
        one_compartment, 0.0, ts, args=0.3, jumps=Doses(time, 100.0, duration=duration)
    )
    exact = (
        infusion(ts, 100.0, time, duration, 0.3)
        if duration > 1e-6
        else bolus(ts, 100.0, time, 0.3)
    )
    # The start itself is off by a rounding error of the time.
    np.testing.assert_allclose(found.ys, exact, rtol=1e-3)


def test_gradients_of_a_start_that_is_traced(x64):
    """Doses at known times come later or sooner after it."""

    def states(t0, jumps, adjoint):
        solve = bjm.Solve(
            TS[1:], y0=2.0, t0=t0, args=0.3, jumps=jumps, adjoint=adjoint, **FINE
        )
        return solve(one_compartment).ys

    for jumps, given in (
        (Doses(0.7, 10.0), bolus(TS[1:], 10, 0.7, 0.3)),
        (Doses(0.7, 10.0, duration=2.0), infusion(TS[1:], 10, 0.7, 2.0, 0.3)),
    ):
        start = 2 * np.exp(-0.3 * (TS[1:] - 0.2))
        for transform, adjoint in (
            (jax.jacrev, None),
            (jax.jacfwd, diffrax.ForwardMode()),
        ):
            found = transform(lambda t0: states(t0, jumps, adjoint))(0.2)  # noqa: B023
            np.testing.assert_allclose(found, 0.3 * start, atol=1e-6)
        of_model = jax.jacrev(lambda x: states(lambda _: x, jumps, None))(0.2)  # noqa: B023
        np.testing.assert_allclose(of_model, 0.3 * start, atol=1e-6)
        np.testing.assert_allclose(states(0.2, jumps, None), start + given, atol=1e-6)

        def by_first(first, jumps=jumps):
            ts = jnp.concatenate([first[None], TS[1:]])
            return integrate(
                one_compartment, 2.0, ts, args=0.3, jumps=jumps, **FINE
            ).ys[1:]

        of_first = jax.jacrev(by_first)(jnp.array(0.2))
        np.testing.assert_allclose(of_first, 0.3 * start, atol=1e-6)


def test_gradients_of_a_dose_at_the_very_start(x64):
    def states(time, duration):
        jumps = Doses(time, 10.0, duration=duration)
        return integrate(one_compartment, 0.0, TS, args=0.3, jumps=jumps, **FINE).ys

    at_once = jax.jacrev(lambda time: states(time, None))(0.0)
    np.testing.assert_allclose(at_once, 0.3 * bolus(TS, 10, 0, 0.3), atol=1e-6)
    long = jax.jacrev(lambda time: states(time, 2.5))(0.0)
    later = infusion(TS, 10, 1e-6, 2.5, 0.3) - infusion(TS, 10, 0, 2.5, 0.3)
    np.testing.assert_allclose(long, later / 1e-6, atol=1e-4)


def test_infusions_one_after_the_other_may_touch(x64):
    doses = Doses(0.0, 1.0, every=0.1, number=30, duration=0.1)
    found = integrate(one_compartment, 0.0, TS, args=0.3, jumps=doses, **FINE)
    np.testing.assert_allclose(found.ys, infusion(TS, 30, 0, 3.0, 0.3), atol=1e-6)

    # The end of one is the start of the next, each with a derivative.
    def last(durations):
        starts = jnp.array([1.0, 1.0 + durations[0]])
        jumps = Doses(starts, jnp.array([3.0, 5.0]), duration=durations)
        return integrate(one_compartment, 0.0, TS, args=0.3, jumps=jumps, **FINE).ys[-1]

    def exact(a, b):
        return infusion(30.0, 3, 1, a, 0.3) + infusion(30.0, 5, 1 + a, b, 0.3)

    found = jax.grad(last)(jnp.array([2.0, 4.0]))
    step = 1e-5
    expected = [
        (exact(2 + step, 4) - exact(2 - step, 4)) / (2 * step),
        (exact(2, 4 + step) - exact(2, 4 - step)) / (2 * step),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_subjects_without_doses_have_none():
    found = integrate(one_compartment, 1.0, TS, args=0.3, jumps=Doses([], []))
    np.testing.assert_allclose(found.ys, np.exp(-0.3 * TS), rtol=1e-4, atol=1e-6)


def test_what_only_values_can_tell_fails_where_it_is_traced():
    @jax.jit
    def succeeds(durations):
        jumps = Doses([1.0, 2.0], 1.0, duration=durations)
        return integrate(one_compartment, 0.0, TS, args=0.3, jumps=jumps).succeeded

    assert succeeds(jnp.array([0.5, 0.5]))
    assert not succeeds(jnp.array([-0.5, 0.5]))


def test_more_that_cannot_be_is_named():
    rows = Doses(np.ones((3, 2)) * [1.0, 2.0], 1.0)
    with pytest.raises(ValueError, match="Rows are for the initial states"):
        integrate(one_compartment, 0.0, TS, args=0.3, jumps=rows)
    for y0, shared_steps in ((np.zeros(2), False), (np.zeros(3), True)):
        settings = {"batched": True, "shared_steps": shared_steps, "args": 0.3}
        with pytest.raises(ValueError, match="Rows are for the initial states"):
            integrate(one_compartment, y0, TS, jumps=rows, **settings)
    with pytest.raises(ValueError, match="the state is a tuple. Write `Jumps"):
        integrate(lambda t, y, a: y, (1.0, 2.0), TS, jumps=Doses(1.0, 1.0, 0))
    with pytest.raises(ValueError, match="a whole one, at least 1"):
        Doses(0.0, 1.0, every=1.0, number=2.5)
    with pytest.raises(ValueError, match="run forwards in time"):
        integrate(one_compartment, 0.0, TS[::-1], args=0.3, jumps=Doses(1.0, 1.0))
    assert Doses(0.0, 1.0, into=np.int64(1)).into == 1
