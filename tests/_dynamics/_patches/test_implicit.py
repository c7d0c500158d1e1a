"""A field whose derivative is NaN for one draw, below implicit steps."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels._dynamics._patches.implicit import call_with_finite_tangents


def field(t, y, rate):
    return -rate * jnp.sqrt(y)


def mended(t, y, rate):
    return call_with_finite_tangents(field, t, y, rate)


def loss(rates, vector_field):
    """Of draws side by side, of which a negative rate times a square root may fail."""

    def end(rate, y0):
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(vector_field),
            diffrax.Kvaerno3(),
            t0=0.0,
            t1=0.5,
            dt0=0.1,
            y0=y0,
            args=rate,
            stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-6),
            max_steps=64,
            throw=False,
        )
        return solution.ys[-1]

    ends = jax.vmap(end)(rates, jnp.array([1.0, -1.0]))
    return jnp.sum(jnp.where(jnp.isfinite(ends), ends, 0.0))


def test_one_draw_of_two_fails(x64):
    """The other has its gradient: `sqrt(y) = 1 - rate t / 2`."""
    rates = jnp.array([0.4, 0.4])
    with pytest.raises(Exception, match="non-finite|nonlinear"):
        jax.block_until_ready(jax.jit(jax.grad(loss), static_argnums=1)(rates, field))
    slope = jax.jit(jax.grad(loss), static_argnums=1)(rates, mended)
    np.testing.assert_allclose(slope[0], -0.5 * (1 - 0.4 * 0.25), rtol=1e-4)


def test_tangents(x64):
    """The field's where they are finite, and zero where not."""
    y, one = jnp.array([4.0, 9.0]), jnp.ones(2)
    found = jax.jvp(lambda y: mended(0.0, y, 2.0), (y,), (one,))
    np.testing.assert_allclose(
        found, jax.jvp(lambda y: field(0.0, y, 2.0), (y,), (one,))
    )
    value, slope = jax.jvp(lambda y: mended(0.0, y, 2.0), (-y,), (one,))
    assert np.all(np.isnan(value))
    np.testing.assert_array_equal(slope, 0.0)
