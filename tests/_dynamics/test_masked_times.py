"""Series of different length, padded to one shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import integrate

TS = jnp.linspace(0.0, 2.0, 5)


def decay(t, y, rate):
    return -rate * y


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


def test_rows_of_times_that_do_not_fit():
    rows = jnp.tile(TS, (3, 1))
    for settings in ({}, {"batched": True, "shared_steps": True}):
        with pytest.raises(ValueError, match="may have a row for each initial state"):
            integrate(decay, jnp.ones((3, 2)), rows, args=1.0, **settings)
    with pytest.raises(ValueError, match=r"`ts` the same .*\[\(2,\), \(3,\)\]"):
        integrate(decay, jnp.ones((2, 2)), rows, args=1.0, batched=True)
