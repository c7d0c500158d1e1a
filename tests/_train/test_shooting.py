"""Helps for training loops: segments and their gaps."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import BayesianJaxModels as bjm
from BayesianJaxModels import integrate
from BayesianJaxModels.train import continuity_gaps, shooting_segments

CONSTANT_STEPS = {
    "stepsize_controller": diffrax.ConstantStepSize(),
    "max_steps": 32,
}


def decay(t, y, rate):
    return -rate * y


def pendulum(t, y, frequency):
    return jnp.stack([y[1], -(frequency**2) * jnp.sin(y[0])])


@pytest.mark.parametrize("num_segments", [1, 3, 7])
def test_segments_hold_every_observation_once(num_segments):
    ts = np.cumsum(np.arange(1.0, 9.0)).astype(np.float32)
    observations = np.arange(16.0, dtype=np.float32).reshape(8, 2)
    mask = np.arange(8) != 4
    segments = shooting_segments(ts, observations, num_segments, mask=mask)
    assert segments.ts.shape[0] == num_segments
    np.testing.assert_array_equal(
        segments.observations[segments.counts], observations[mask]
    )
    rows = [row[there] for row, there in zip(segments.ts, segments.mask, strict=True)]
    sizes = [row.size for row in rows]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) == segments.ts.shape[1]
    for left, right in zip(rows[:-1], rows[1:], strict=True):
        assert left[-1] == right[0]
    np.testing.assert_array_equal(np.unique(np.concatenate(rows)), ts)
    # Whatever pads them is finite, and every entry of a mask is kept in its place.
    entries = np.isin(observations, [3.0, 14.0])
    by_entry = shooting_segments(ts, observations, num_segments, mask=entries)
    np.testing.assert_array_equal(by_entry.observations[by_entry.counts], [3.0, 14.0])


def test_gaps_and_their_gradients_are_exact(x64):
    ts = jnp.array([0.0, 0.3, 0.5, 1.1, 1.2, 2.0])
    states = np.exp(-0.7 * ts)[:, None] * np.array([1.0, 3.0])
    segments = shooting_segments(ts, states, 3)
    weights = np.array([[1.0, 2.0], [-0.5, 3.0]])

    @jax.jit
    def gaps_and_slopes(rate, starts):
        def weighted(rate, starts):
            pieces = integrate(
                decay,
                starts,
                segments.ts,
                mask=segments.mask,
                args=rate,
                batched=True,
                dt0=0.05,
                **CONSTANT_STEPS,
            )
            gaps = continuity_gaps(pieces)
            return jnp.sum(weights * gaps), gaps

        return jax.grad(weighted, argnums=(0, 1), has_aux=True)(rate, starts)

    exact = segments.observations[:, 0]
    assert np.max(np.abs(gaps_and_slopes(0.7, exact)[1])) < 1e-8
    starts = exact + 0.5
    (by_rate, by_starts), gaps = gaps_and_slopes(0.4, starts)
    durations = np.diff(segments.ts[:, 0])[:, None]
    ends = np.exp(-0.4 * durations) * starts[:-1]
    np.testing.assert_allclose(gaps, ends - starts[1:], atol=1e-8)
    np.testing.assert_allclose(by_rate, -np.sum(weights * durations * ends), rtol=1e-7)
    expected = np.zeros((3, 2))
    expected[:-1] += weights * np.exp(-0.4 * durations)
    expected[1:] -= weights
    np.testing.assert_allclose(by_starts, expected, rtol=1e-7)


def test_gaps_of_draws():
    """Draws have an axis of their own, before that of the segments."""
    ys = {"x": np.arange(24.0).reshape(2, 3, 4), "v": np.ones((2, 3, 4, 5))}
    ts = jnp.zeros((2, 3, 4))
    ys = jax.tree.map(jnp.asarray, ys)
    of_draws = bjm.Trajectory(ts, ys, diffrax.RESULTS.successful, jnp.ones((2, 3), int))
    gaps = continuity_gaps(of_draws)
    np.testing.assert_array_equal(gaps["x"], -np.ones((2, 2)))
    np.testing.assert_array_equal(gaps["v"], np.zeros((2, 2, 5)))


def test_segments_find_what_descent_on_a_long_solve_cannot():
    ts = np.linspace(0.0, 20.0, 41)

    def exact(frequency):
        return solve_ivp(
            lambda t, y: [y[1], -(frequency**2) * np.sin(y[0])],
            (0.0, 20.0),
            [1.0, 0.0],
            t_eval=ts,
            rtol=1e-6,
        ).y.T

    noise = np.random.default_rng(0).normal(size=(41, 2))
    observations = exact(2.0) + 0.05 * noise
    # At 1 the way down leads away from the truth, 2.
    below, poor, above, best = (
        np.sum((exact(frequency) - observations) ** 2)
        for frequency in (0.95, 1.0, 1.05, 2.0)
    )
    assert below < poor < above
    assert best < 0.01 * poor

    ts, observations = ts.astype(np.float32), observations.astype(np.float32)
    segments = shooting_segments(ts, observations, 8)

    def residuals(vector, scale):
        pieces = integrate(
            pendulum,
            vector[1:].reshape(8, 2),
            segments.ts,
            mask=segments.mask,
            args=vector[0],
            batched=True,
            adjoint=diffrax.ForwardMode(),
            dt0=0.25,
            **CONSTANT_STEPS,
        )
        counts = segments.counts[..., None]
        misfits = jnp.where(counts, pieces.ys - segments.observations, 0.0) / 0.05
        gaps = continuity_gaps(pieces) / scale
        return jnp.concatenate([misfits.ravel(), gaps.ravel()])

    @jax.jit
    def linearise(vector, scale):
        return residuals(vector, scale), jax.jacfwd(residuals)(vector, scale)

    # Gauss-Newton, as the gaps close.
    learnt = jnp.append(1.0, segments.observations[:, 0])
    for scale in np.geomspace(1.0, 1e-3, 12).astype(np.float32):
        values, jacobian = linearise(learnt, scale)
        learnt = learnt - np.linalg.lstsq(jacobian, values)[0]
    assert jnp.abs(learnt[0] - 2.0) < 0.003
    gaps = linearise(learnt, 1.0)[0][-14:]
    assert jnp.max(jnp.abs(gaps)) < 1e-3


def test_errors():
    ts, ys = jnp.linspace(0.0, 1.0, 5), jnp.ones((5, 2))
    for num_segments in (0, 5):
        with pytest.raises(ValueError, match="`num_segments` must be from 1 to 4"):
            shooting_segments(ts, ys, num_segments)
    with pytest.raises((ValueError, TypeError), match="observations"):
        shooting_segments(ts, ys[1:], 2)
    for mask in (np.ones((5, 1), bool), np.ones(4, bool), np.ones(5, int)):
        with pytest.raises((ValueError, TypeError), match="mask"):
            shooting_segments(ts, ys, 2, mask=mask)
    with pytest.raises(ValueError, match="strictly increasing"):
        shooting_segments(ts.at[1].set(0.0), ys, 2)
    with pytest.raises(ValueError, match="must have an axis of segments"):
        continuity_gaps(
            bjm.Trajectory(ts, ys, diffrax.RESULTS.successful, jnp.array(3))
        )
