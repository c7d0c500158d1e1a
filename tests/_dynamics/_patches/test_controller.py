"""Steps that lead to infinity: taken again, and lost without the patch."""

import diffrax
import jax.numpy as jnp
import numpy as np

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
