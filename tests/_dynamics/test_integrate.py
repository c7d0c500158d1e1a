"""Against exact solutions, and against diffrax called directly."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import (
    NeuralVectorField,
    integrate,
    make_parameter,
    sample_all_parameters,
)
from tests._dynamics.cases import MATRIX, TS, Linear, exact, linear


def test_linear_field_in_both_precisions(x64):
    for dtype, tolerance, controller in (
        (jnp.float32, 2e-4, None),
        (jnp.float64, 1e-9, diffrax.PIDController(rtol=1e-11, atol=1e-11)),
    ):
        ts, y0 = jnp.asarray(TS, dtype), jnp.array([1.0, 2.0], dtype)
        trajectory = integrate(
            linear(dtype), y0, ts, stepsize_controller=controller, max_steps=4096
        )
        assert trajectory.succeeded
        assert trajectory.ys.dtype == dtype
        np.testing.assert_allclose(trajectory.ys, exact(TS, [1.0, 2.0]), atol=tolerance)


def test_order_of_convergence(x64):
    errors = []
    for num_steps in (4, 8):
        trajectory = integrate(
            linear(jnp.float64),
            jnp.array([1.0, 2.0]),
            jnp.array([0.0, 2.0]),
            dt0=2.0 / num_steps,
            stepsize_controller=diffrax.ConstantStepSize(),
        )
        assert trajectory.num_steps == num_steps
        errors.append(np.abs(trajectory.ys[-1] - exact(2.0, [1.0, 2.0])).max())
    assert np.log2(errors[0] / errors[1]) > 4.7  # Tsit5 is of order 5


def test_against_diffrax(x64):
    """In double precision, as rounding in float32 changes the size of steps."""
    y0, ts = jnp.array([1.0, 2.0]), jnp.asarray(TS)
    expected = diffrax.diffeqsolve(
        diffrax.ODETerm(linear(jnp.float64)),
        diffrax.Tsit5(),
        t0=ts[0],
        t1=ts[-1],
        dt0=None,
        y0=y0,
        saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=diffrax.PIDController(rtol=1e-5, atol=1e-6),
    )
    trajectory = integrate(linear(jnp.float64), y0, ts)
    np.testing.assert_allclose(trajectory.ys, expected.ys, rtol=1e-12)
    assert trajectory.num_steps == expected.stats["num_steps"]


def test_backwards_in_time():
    end = exact(2.0, [1.0, 2.0])
    for dt0, controller in ((None, None), (0.01, diffrax.ConstantStepSize())):
        trajectory = integrate(
            linear(),
            jnp.asarray(end[0], jnp.float32),
            jnp.asarray(TS[::-1], jnp.float32),
            dt0=dt0,
            stepsize_controller=controller,
        )
        np.testing.assert_allclose(
            trajectory.ys, exact(TS[::-1], [1.0, 2.0]), atol=2e-4
        )


@pytest.mark.parametrize("shared_steps", [False, True])
def test_many_initial_states(shared_steps):
    y0 = jnp.array([[1.0, 2.0], [0.0, 1.0], [30.0, -40.0]])
    trajectory = integrate(
        linear(),
        y0,
        jnp.asarray(TS, jnp.float32),
        batched=True,
        shared_steps=shared_steps,
    )
    assert trajectory.ys.shape == (3, 5, 2)
    assert trajectory.num_steps.shape == trajectory.succeeded.shape == (3,)
    for ys, start in zip(trajectory.ys, y0, strict=True):
        scale = np.abs(start).max()
        np.testing.assert_allclose(ys, exact(TS, start), atol=2e-4 * scale)


def test_shared_steps_hold_every_state_to_the_tolerance():
    # One stiff state among many slow ones: an error averaged over all would hide it.
    rates = jnp.concatenate([jnp.full(99, 0.01), jnp.array([50.0])])
    y0 = jnp.stack([jnp.ones(100), rates], axis=1)

    def decay(t, y, args):
        return jnp.stack([-y[1] * y[0], jnp.zeros(())])

    ts = jnp.array([0.0, 0.05, 0.1])
    trajectory = integrate(decay, y0, ts, batched=True, shared_steps=True)
    expected = np.exp(-np.outer(rates, ts))
    np.testing.assert_allclose(trajectory.ys[..., 0], expected, atol=2e-4)


def test_states_may_be_any_pytree():
    def field(t, y, args):
        return {"q": y["p"], "p": (-y["q"][0], -y["q"][1])[0] * jnp.ones(1)}

    y0 = {"q": jnp.array([1.0]), "p": jnp.array([0.0])}
    trajectory = integrate(field, y0, jnp.asarray(TS, jnp.float32))
    np.testing.assert_allclose(trajectory.ys["q"][:, 0], np.cos(TS), atol=2e-4)


def test_initial_states_may_be_parameters():
    class Model(eqx.Module):
        start: eqx.Module
        field: Linear

        def __call__(self, t, y, args):
            return self.field(t, y, args)

    model = Model(make_parameter([1.0, 2.0]), linear())
    ts = jnp.asarray(TS, jnp.float32)
    trajectory = integrate(model, lambda model: model.start.mean, ts)
    np.testing.assert_allclose(trajectory.ys, exact(TS, [1.0, 2.0]), atol=2e-4)


def test_implicit_solvers():
    def stiff(t, y, args):
        return -1000.0 * (y - jnp.cos(t))

    ts = jnp.linspace(0.0, 1.0, 3)
    trajectory = integrate(
        stiff,
        jnp.zeros(1),
        ts,
        solver=diffrax.Kvaerno5(),
        stepsize_controller=diffrax.PIDController(rtol=1e-3, atol=1e-4),
    )
    np.testing.assert_allclose(trajectory.ys[1:, 0], np.cos(ts[1:]), atol=2e-3)
    assert trajectory.num_steps < 100


def test_controls_come_through_args(key):
    field = NeuralVectorField(2, width=4, depth=1, control_dim=1, key=key)
    ts = jnp.linspace(0.0, 1.0, 5)
    controls = diffrax.LinearInterpolation(ts, jnp.sin(ts)[:, None])
    drawn = jax.jit(sample_all_parameters)(field, key)

    @jax.jit
    def solve(controls):
        return integrate(drawn, jnp.ones(2), ts, args=controls.evaluate)

    with_control = solve(controls)
    without = solve(jax.tree.map(jnp.zeros_like, controls))
    assert with_control.succeeded
    assert jnp.any(with_control.ys[-1] != without.ys[-1])


ADJOINTS = {
    "recursive": diffrax.RecursiveCheckpointAdjoint(),
    "direct": diffrax.DirectAdjoint(),
    "backsolve": diffrax.BacksolveAdjoint(),
    "forward": diffrax.ForwardMode(),
}


@pytest.mark.parametrize("name", ADJOINTS)
def test_gradients_are_exact(name, x64):
    def loss(strength):
        trajectory = integrate(
            Linear(strength * jnp.asarray(MATRIX)),
            jnp.array([1.0, 2.0]),
            jnp.asarray(TS),
            stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-9),
            adjoint=ADJOINTS[name],
            max_steps=512,
        )
        return jnp.sum(trajectory.ys**2)

    def value_and_slope(strength):
        if name == "forward":
            return jax.jvp(loss, (strength,), (jnp.ones_like(strength),))
        return jax.value_and_grad(loss)(strength)

    value, slope = jax.jit(value_and_slope)(1.0)
    # The square of the length is `5 exp(-0.2 strength t)`.
    squares = 5.0 * np.exp(-0.2 * TS)
    np.testing.assert_allclose(value, squares.sum(), rtol=1e-6)
    np.testing.assert_allclose(slope, np.sum(-0.2 * TS * squares), rtol=1e-6)


def test_gradients_where_saves_meet_the_ends_of_steps():
    """With fewer checkpoints than steps diffrax loses whole save times here.

    The state is so large that adaptive steps would have fewer.
    """
    ts = jnp.linspace(0.0, 1.0, 11)

    @jax.jit
    @jax.grad
    def slope(rate):
        trajectory = integrate(
            lambda t, y, rate: -rate * y,
            jnp.ones(4000),
            ts,
            args=rate,
            stepsize_controller=diffrax.ConstantStepSize(),
            dt0=1 / 50,
        )
        return jnp.mean(jnp.sum(trajectory.ys, axis=0))

    expected = -np.sum(ts * np.exp(-ts))
    np.testing.assert_allclose(slope(1.0), expected, rtol=1e-5)


CONTROLLERS = {
    "constant": {"stepsize_controller": diffrax.ConstantStepSize(), "dt0": 0.02},
    "adaptive": {},
    "implicit": {
        "solver": diffrax.ImplicitEuler(),
        "stepsize_controller": diffrax.PIDController(rtol=0.03, atol=0.03),
    },
}
FAULTS = {
    "blow-up": lambda t, y, rate: rate * y**2,
    "NaN": lambda t, y, rate: -y * jnp.where(rate > 5, jnp.nan, 1.0),
    "domain error": lambda t, y, rate: -rate * (0.3 + jnp.sqrt(y - 0.5)),
}


class Faulty(eqx.Module):
    """One of the faults, chosen late: all of them are compiled at once."""

    fault: jax.Array

    def __call__(self, t, y, rate):
        return jax.lax.switch(self.fault, list(FAULTS.values()), t, y, rate)


@pytest.mark.parametrize("steps", CONTROLLERS)
def test_one_failed_draw_of_many(steps):
    """It is counted and marked; the loss and gradients of the others stay finite."""
    rates = jnp.full(64, 0.1).at[7].set(10.0)
    ts = jnp.linspace(0.0, 1.0, 3)

    @jax.jit
    def solve(rates, fault):
        return jax.vmap(
            lambda rate: integrate(
                Faulty(fault),
                jnp.ones(1),
                ts,
                args=rate,
                max_steps=128,
                **CONTROLLERS[steps],
            )
        )(rates)

    def loss(rates, fault):
        trajectory = solve(rates, fault)
        ends = trajectory.ys[:, -1, 0]
        return jnp.sum(jnp.where(trajectory.succeeded, ends, 0.0)), trajectory

    differentiate = jax.jit(jax.value_and_grad(loss, has_aux=True))

    def check(trajectory):
        assert trajectory.succeeded.shape == (64,)
        assert trajectory.num_failed == 1
        assert not trajectory.succeeded[7]
        np.testing.assert_allclose(trajectory.failed_fraction, 1 / 64)

    for fault, name in enumerate(FAULTS):
        (value, trajectory), gradient = differentiate(rates, jnp.array(fault))
        check(trajectory)
        assert np.isfinite(value), name
        assert np.all(np.isfinite(gradient)), name
        assert gradient[7] == 0, name
        assert np.all(np.delete(gradient, 7) != 0) == (name != "NaN")
        check(solve(rates, jnp.array(fault)))  # without gradients the loop is another


def test_too_few_steps_are_a_failure_with_a_reason():
    trajectory = integrate(
        linear(), jnp.ones(2), jnp.asarray(TS, jnp.float32), max_steps=2
    )
    assert not trajectory.succeeded
    assert trajectory.result == diffrax.RESULTS.max_steps_reached


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


def test_arguments_in_the_double_precision_of_numpy_give_no_warning():
    found = integrate(lambda t, y, rate: -rate * y, np.ones(2), TS, args=np.array(0.5))
    np.testing.assert_allclose(found.ys[:, 0], np.exp(-0.5 * TS), rtol=1e-4)
