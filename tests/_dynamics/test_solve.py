"""How a model is solved, said once."""

import dataclasses

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm

DAYS = 45_000 + np.array([1.0, 2.0, 2.5])


class Decay(bjm.AbstractVectorField):
    rate: bjm.AbstractParameter
    start: bjm.AbstractParameter

    def __call__(self, t, y, args):
        dose = 0.0 if args is None else jnp.where(t > 45_001.5, args, 0.0)
        return dose - self.rate.mean * y


@pytest.fixture
def model():
    return Decay(
        bjm.make_parameter(0.5, init_raw_stdv=0.3),
        bjm.make_parameter([80.0], init_raw_stdv=1.0),
    )


def start_of(model):
    return model.start.mean


def field_of(model):
    return model["field"]


def test_it_is_integrate_said_once(model, key):
    """Alone, compiled, for every draw, and at other times; the same numbers each."""
    words = {
        "t0": 45_000,
        "args": 3.0,
        "jump_ts": np.array([45_001.5]),
        "max_steps": 64,
    }
    tolerances = {"rtol": 1e-6, "atol": 1e-5}
    solve = bjm.Solve(DAYS, y0=start_of, **words, **tolerances)
    expected = bjm.integrate(
        model,
        start_of,
        DAYS,
        **words,
        stepsize_controller=diffrax.PIDController(**tolerances),
    )
    found = solve(model)
    np.testing.assert_array_equal(found.ys, expected.ys)
    np.testing.assert_array_equal(found.ts, DAYS)
    compiled = eqx.filter_jit(lambda solve, model: solve(model).ys)
    np.testing.assert_allclose(compiled(solve, model), expected.ys, rtol=1e-6)
    # Saved elsewhere, with the same jump.
    later = solve.at(DAYS[1:] + 1.0)(model)
    whole = bjm.integrate(model, start_of, DAYS[1:] + 1.0, **words, **tolerances)
    np.testing.assert_array_equal(later.ys, whole.ys)
    draws = bjm.posterior_trajectories(
        model, start_of, DAYS, key=key, num_samples=5, **words, **tolerances
    )
    mapped = bjm.map_posterior(solve, model, key=key, num_samples=5)
    np.testing.assert_array_equal(mapped.ys, draws.ys)


def test_a_field_inside_a_model(model):
    """`vector_field` picks it, while `y0` and `t0` are functions of the model."""
    whole = {"field": model, "delay": jnp.asarray(0.5), "y0": jnp.array([8.0])}
    solve = bjm.Solve(
        np.array([1.0, 2.0]),
        t0=lambda m: m["delay"],
        y0=lambda m: m["y0"],
        vector_field=field_of,
    )
    found = solve(whole)
    exact = 8.0 * np.exp(-0.5 * np.array([[0.5], [1.5]]))
    np.testing.assert_allclose(found.ys, exact, rtol=1e-4)
    later = solve.at(np.array([4.5]))(whole)
    np.testing.assert_allclose(later.ys, [[8.0 * np.exp(-2.0)]], rtol=1e-3)


def test_other_numbers_compile_nothing(model):
    """It is a pytree: times, start and inputs are arguments of compiled code."""
    traced = []

    @eqx.filter_jit
    def ys_of(solve, model):
        traced.append(None)
        return solve(model).ys

    solve = bjm.Solve(DAYS, t0=45_000, y0=jnp.array([80.0]), args=jnp.array(0.0))
    first = ys_of(solve, model)
    other = eqx.tree_at(lambda s: s.y0, solve.at(DAYS + 0.25), jnp.array([160.0]))
    np.testing.assert_allclose(ys_of(solve, model), first)
    assert np.all(ys_of(other, model) > 1.5 * first)
    assert len(traced) == 1


def test_tolerances_reach_the_solver(model):
    """Looser ones take fewer steps, in the batch that shares them too."""
    starts = jnp.array([[80.0], [8.0]])
    for batch in ({}, {"batched": True, "shared_steps": True}):
        y0 = starts if batch else starts[0]
        steps = [
            np.max(bjm.Solve(DAYS, y0=y0, rtol=rtol, **batch)(model).num_steps)
            for rtol in (1e-2, 1e-6)
        ]
        assert steps[0] < steps[1]


def test_the_start_stays_where_it_is(model):
    """Other times do not move it, though it was the first of them."""
    solve = bjm.Solve(DAYS, y0=jnp.array([80.0]))
    later = solve.at(DAYS + 1.0)(model)
    exact = 80.0 * np.exp(-0.5 * (DAYS + 1.0 - DAYS[0]))
    np.testing.assert_allclose(later.ys[:, 0], exact, rtol=1e-4)
    np.testing.assert_array_equal(solve.at(DAYS)(model).ys, solve(model).ys)
    with pytest.raises(ValueError, match="`t0` must lie before all of `ts`"):
        solve.at(DAYS - 0.5)


def test_other_words(model):
    solve = bjm.Solve(DAYS, y0=jnp.array([80.0]), t0=45_000, jump_ts=DAYS[1:2])
    assert solve.replace(max_steps=3)(model).num_failed == 1
    rough = solve.replace(rtol=0.1, atol=1.0)
    assert rough(model).num_steps < solve(model).num_steps
    np.testing.assert_array_equal(rough.clock.jump_ts, solve.clock.jump_ts)
    earlier = solve.replace(t0=44_999)(model)
    np.testing.assert_allclose(earlier.ys, np.exp(-0.5) * solve(model).ys, rtol=1e-4)
    with pytest.raises(TypeError, match=r"got \['ts'\]. For other times use `at`"):
        solve.replace(ts=DAYS)


def test_mistakes_are_named(model):
    constant = diffrax.ConstantStepSize()
    with pytest.raises(ValueError, match="`rtol` and `atol` are those of the default"):
        bjm.Solve(DAYS, y0=1.0, rtol=1e-3, stepsize_controller=constant)
    with pytest.raises(ValueError, match="`ts` must be strictly increasing"):
        bjm.Solve(np.array([1.0, 0.0, 2.0]), y0=1.0)
    with pytest.raises(ValueError, match="`t0` must lie before all of `ts`"):
        bjm.Solve(DAYS, y0=1.0, t0=45_001.5)
    with pytest.raises(ValueError, match="`t0` must lie before all of `ts`"):
        bjm.Solve(DAYS, y0=1.0, t0=45_000).at(DAYS - 1.5)
    with pytest.raises(ValueError, match="`jump_ts` needs an adaptive"):
        bjm.Solve(DAYS, y0=1.0, jump_ts=DAYS, stepsize_controller=constant, dt0=1.0)
    with pytest.raises(ValueError, match="`args_axes` is for initial states"):
        bjm.Solve(DAYS, y0=1.0, args_axes=0)
    for tolerances in ({"rtol": -1.0}, {"atol": 0.0}, {"rtol": np.inf}):
        with pytest.raises(ValueError, match="must be above 0 and finite"):
            bjm.Solve(DAYS, y0=1.0, **tolerances)
    with pytest.raises(TypeError, match="`y0` must consist of floats"):
        bjm.Solve(DAYS, y0=1)
    solve = bjm.Solve(DAYS, y0=jnp.ones(1))
    with pytest.raises(TypeError, match=r"must be callable as `\(t, y, args\)`"):
        solve(5)
    with pytest.raises(TypeError, match="does not know the answer for a DrawsPost"):
        solve(bjm.DrawsPosterior(model, jnp.ones((3, 2))))
    with pytest.raises(TypeError, match=r"`y0` is a `Solve`.*"):
        bjm.posterior_trajectories(
            model, solve, DAYS, key=jax.random.key(0), num_samples=3
        )
    with pytest.raises(dataclasses.FrozenInstanceError):
        solve.max_steps = 3


def test_it_prints_its_times_and_its_solver():
    solve = bjm.Solve(np.array([1.0, 2.0, 4.0]), t0=0.0, y0=1.0, max_steps=99)
    assert str(solve).splitlines() == [
        "Solve: 3 times from 1 to 4; t0 0",
        "  Tsit5, rtol 1e-05, atol 1e-06, max_steps 99",
    ]
    own = bjm.Solve(np.ones(1), t0=lambda model: 0.0, y0=1.0, rtol=1e-3)
    assert "t0 of the model\n  Tsit5, rtol 0.001" in str(own)
    constant = solve.replace(stepsize_controller=diffrax.ConstantStepSize(), dt0=0.1)
    assert "ConstantStepSize, dt0 0.1, max_steps 99" in str(constant)
    printed = []
    eqx.filter_eval_shape(lambda solve: printed.append(str(solve)), solve)
    assert printed[0].startswith("Solve(")
