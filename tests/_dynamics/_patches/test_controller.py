"""Steps that lead to infinity: taken again, and lost without the patch."""

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import integrate
from BayesianJaxModels._dynamics._patches.controller import RejectInfinite


def solve(controller, field, y0, dt0):
    return diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        t0=0.0,
        t1=1.0,
        dt0=dt0,
        y0=y0,
        stepsize_controller=controller,
        max_steps=1024,
        throw=False,
    )


def test_a_first_step_that_is_much_too_long():
    """`y' = -y**3` from 1e5, by a tenth: stages overflow in single precision."""
    controller = diffrax.PIDController(rtol=1e-5, atol=1e-5)
    y0, steps = jnp.asarray(1e5), 0.1

    def cubic(t, y, args):
        return -(y**3)

    plain = solve(controller, cubic, y0, steps)
    assert not (plain.result == diffrax.RESULTS.successful and jnp.isfinite(plain.ys))
    mended = solve(RejectInfinite(controller), cubic, y0, steps)
    assert mended.result == diffrax.RESULTS.successful
    np.testing.assert_allclose(mended.ys, (1e-10 + 2) ** -0.5, rtol=1e-4)


def test_it_gives_up_where_no_step_will_do():
    """A pole within the time, and a start that is none."""
    controller = diffrax.PIDController(rtol=1e-3, atol=1e-6)

    def explosion(t, y, args):
        return y**2

    found = solve(RejectInfinite(controller, 1e-6), explosion, jnp.asarray(2.0), 0.1)
    assert found.result == diffrax.RESULTS.dt_min_reached
    assert found.stats["num_steps"] < 1024
    nowhere = RejectInfinite(controller, 1e-9, jnp.asarray(False))
    found = solve(nowhere, explosion, jnp.asarray(0.1), 0.1)
    assert found.result == diffrax.RESULTS.nonfinite
    assert found.stats["num_steps"] == 1


def test_what_it_does_where_all_is_well():
    """The steps of the controller inside it, one by one."""
    controller = diffrax.PIDController(rtol=1e-5, atol=1e-5)

    def decay(t, y, args):
        return -y

    plain, mended = (
        solve(kind, decay, jnp.asarray(1.0), 0.1)
        for kind in (controller, RejectInfinite(controller))
    )
    np.testing.assert_array_equal(plain.ys, mended.ys)
    assert plain.stats == mended.stats


CLIPPED = diffrax.ClipStepSizeController(
    diffrax.PIDController(rtol=1e-4, atol=1e-6), step_ts=[2000.0]
)


@pytest.mark.parametrize("controller", [None, CLIPPED], ids=["PID", "clipped"])
def test_a_step_to_infinity_is_taken_again(controller):
    """Logistic growth as a logarithm, where a step of 60 units overflows."""
    rate, start, ts = 0.4, -0.7, jnp.array([0.0, 1.0, 5.0, 1000.0])
    settings = {"dt0": 60.0, "stepsize_controller": controller, "max_steps": 256}
    trajectory = integrate(
        lambda t, y, args: -rate * jnp.expm1(y), jnp.float32(start), ts, **settings
    )
    assert trajectory.succeeded
    exact = -np.log1p(np.expm1(-start) * np.exp(-rate * np.asarray(ts, float)))
    np.testing.assert_allclose(trajectory.ys, exact, atol=1e-3)


@pytest.mark.parametrize("error", [1.0, -jnp.inf, jnp.nan])
def test_no_step_to_infinity_is_taken(error):
    """Beside an infinite state any finite error looks small."""
    plain = diffrax.PIDController(rtol=1e-4, atol=1e-6)
    state = (jnp.array(1.0), jnp.array(1.0), jnp.array(False))
    step = (0.0, 1.0, jnp.array(0.0), jnp.array(-jnp.inf), None, jnp.array(error))
    kept, _, following, *_ = RejectInfinite(plain).adapt_step_size(*step, 5, state)
    assert not kept
    assert 0 < following < 1
