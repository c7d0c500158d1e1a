"""Doses beside the closed forms of one and two compartments."""

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
