"""Written out or in diffrax's loop, a method is the same method."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels._dynamics._patches.stages import (
    StagesWrittenOut,
    write_out_stages,
)

ADAPTIVE = diffrax.PIDController(rtol=1e-5, atol=1e-7)
ADJOINT = diffrax.RecursiveCheckpointAdjoint()


def pendulum(t, y, friction):
    """Nonlinear, with explicit time, and a state of two leaves."""
    angle, speed = y["angle"], y["speed"]
    return {"angle": speed, "speed": -jnp.sin(angle) - friction * speed + jnp.cos(t)}


def solve(solver, friction, controller=ADAPTIVE, dt0=None):
    return diffrax.diffeqsolve(
        diffrax.ODETerm(pendulum),
        solver,
        t0=0.0,
        t1=4.0,
        dt0=dt0,
        y0={"angle": jnp.ones(2), "speed": jnp.array([0.0, 0.5])},
        args=friction,
        saveat=diffrax.SaveAt(ts=jnp.linspace(0.0, 4.0, 7)),
        stepsize_controller=controller,
    )


CONSTANT = (diffrax.ConstantStepSize(), 0.05)
# One method that hands its last slope on, and one that does not, with each controller.
CASES = {
    "Tsit5, adaptive": (diffrax.Tsit5(), (ADAPTIVE, None)),
    "Heun, adaptive": (diffrax.Heun(), (ADAPTIVE, None)),
    "Dopri5": (diffrax.Dopri5(), CONSTANT),
    "Bosh3": (diffrax.Bosh3(), CONSTANT),
    "Midpoint": (diffrax.Midpoint(), CONSTANT),
}


@pytest.mark.parametrize("name", CASES)
def test_same_numbers_as_diffrax(name, x64):
    method, settings = CASES[name]
    written_out = write_out_stages(method, ADJOINT)
    assert isinstance(written_out, StagesWrittenOut)
    found, expected = (
        solve(solver, 0.1, *settings) for solver in (written_out, method)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11),
        found.ys,
        expected.ys,
    )
    assert found.stats["num_steps"] == expected.stats["num_steps"]


def test_gradients_and_jumps(x64):
    """After a jump in the field the slope kept from the last step is not used."""
    controller = diffrax.ClipStepSizeController(ADAPTIVE, jump_ts=jnp.array([1.5]))

    def loss(friction, solver):
        return jnp.sum(solve(solver, friction, controller).ys["angle"] ** 2)

    method = diffrax.Tsit5()
    found, expected = (
        jax.value_and_grad(loss)(0.1, solver)
        for solver in (write_out_stages(method, ADJOINT), method)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_float32_states_with_float64_times(x64):
    dtypes = [
        diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, args: -y),
            solver,
            t0=jnp.zeros(()),
            t1=jnp.ones(()),
            dt0=None,
            y0=jnp.ones(1, jnp.float32),
            stepsize_controller=ADAPTIVE,
        ).ys.dtype
        for solver in (write_out_stages(diffrax.Tsit5(), ADJOINT), diffrax.Tsit5())
    ]
    assert dtypes[0] == dtypes[1]


@pytest.mark.parametrize(
    "solver",
    [diffrax.Kvaerno3(), diffrax.Dopri8(), diffrax.Euler()],
    ids=lambda solver: type(solver).__name__,
)
def test_others_are_left_alone(solver):
    assert write_out_stages(solver, ADJOINT) is solver
    assert write_out_stages(diffrax.Tsit5(), diffrax.BacksolveAdjoint()) == (
        diffrax.Tsit5()
    )
