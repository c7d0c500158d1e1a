import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels._predict.running_summary import RunningSummary
from BayesianJaxModels._predict.summary import summarise
from tests._predict.cases import assert_same, make, take, with_weights


@pytest.mark.parametrize("sizes", [(60,), (1, 59), (7, 20, 33), (30, 30)])
def test_running_is_batch_whatever_the_chunks(mixed, sizes):
    trajectory, num_bins = mixed[0], 500
    low, high = {"position": -5.0, "energy": 0.0}, {"position": 9.0, "energy": 30.0}
    running = RunningSummary(grid=(low, high, num_bins))
    start = 0
    for size in sizes:
        running.update(take(trajectory, slice(start, start + size)))
        start += size
    actual, desired = running.summary(), summarise(trajectory)
    names = ("mean", "stdv", "num_used", "num_failed", "failed_fraction")
    for name in (*names, "share_running"):
        assert_same(getattr(actual, name), getattr(desired, name), rtol=1e-6)
    assert actual.num_draws == desired.num_draws
    for name in low:
        width = (high[name] - low[name]) / num_bins
        for of_running, of_all in zip(
            (*actual.equal_tailed, actual.quantiles),
            (*desired.equal_tailed, desired.quantiles),
            strict=True,
        ):
            np.testing.assert_allclose(
                of_running[name], of_all[name], rtol=0, atol=width
            )
        assert not np.any(actual.num_outside[name])
    assert actual.highest_density is None


def test_running_moments_far_from_zero():
    # The sum of squares less the square of the sum would lose every digit here.
    ys = (1e6 + np.arange(8.0)[:, None]).astype(np.float32)
    running = RunningSummary()
    for part in (slice(0, 3), slice(3, 8)):
        running.update(take(make(ys), part))
    summary = running.summary()
    np.testing.assert_allclose(summary.mean, 1e6 + 3.5, rtol=1e-15)
    np.testing.assert_allclose(summary.stdv, (63 / 12) ** 0.5, rtol=1e-12)
    assert summary.quantiles is None
    assert summary.equal_tailed is None
    assert "no quantiles without a grid" in str(summary)


def test_quantiles_across_a_gap_and_at_the_edges():
    # Between 0 and 1 no draw lies, so a median must be interpolated as NumPy does.
    ys = np.array([[0.0], [0.0], [1.0], [1.0]], np.float32)
    running = RunningSummary(grid=(0.0, 1.0, 10))
    running.update(make(ys))
    summary = running.summary((0.2, 0.5, 0.9))
    desired = np.quantile(ys, (0.2, 0.5, 0.9), axis=0)
    np.testing.assert_allclose(summary.quantiles, desired, atol=0.1)
    assert summary.num_outside == 0


def test_outside_the_grid_is_said():
    ys = np.arange(10.0, dtype=np.float32)[:, None]
    running = RunningSummary(grid=(2.0, 6.0, 40))
    running.update(make(ys))
    with pytest.warns(UserWarning, match="2 of 3 quantiles lie outside the grid"):
        summary = running.summary((0.5,))
    np.testing.assert_allclose(summary.equal_tailed, [[2.0], [6.0]])
    np.testing.assert_allclose(summary.quantiles, [[4.5]], atol=0.1)
    np.testing.assert_array_equal(summary.num_outside, [5])
    assert "5 values outside the grid" in str(summary)


def test_a_grid_for_each_component():
    rng = np.random.default_rng(0)
    ys = (rng.random((50, 3, 2)) * [1.0, 100.0]).astype(np.float32)
    running = RunningSummary(grid=([0.0, 0.0], [1.0, 100.0], 1_000))
    running.update(make(ys))
    error = np.abs(running.summary().quantiles - summarise(make(ys)).quantiles)
    assert np.all(error <= [1e-3, 1e-1])


def test_a_chunk_in_which_all_failed():
    ys = np.ones((2, 3), np.float32)
    running = RunningSummary()
    running.update(make(ys, failed=[True, True]))
    with pytest.raises(ValueError, match="All 2 solves of `trajectory` failed"):
        running.summary()
    running.update(make(ys))
    summary = running.summary()
    np.testing.assert_allclose(summary.mean, 1.0)
    assert (summary.num_draws, summary.num_failed) == (4, 2)


def test_errors_of_running():
    draws = make(np.ones((3, 2), np.float32))
    with pytest.raises(ValueError, match="no draws to summarise: call `update`"):
        RunningSummary().summary()
    with pytest.raises(ValueError, match="`grid` must have at least 1 bin, but has 0"):
        RunningSummary(grid=(0.0, 1.0, 0))
    with pytest.raises(ValueError, match="low end below its high end"):
        RunningSummary(grid=(1.0, 1.0, 10)).update(draws)
    with pytest.raises(ValueError, match=r"`grid` must broadcast.*\(2,\).*\(3,\)"):
        RunningSummary(grid=(np.zeros(3), 1.0, 10)).update(draws)
    running = RunningSummary()
    running.update(draws)
    others = (
        make(np.ones((3, 4), np.float32)),
        make({"y": np.ones((3, 2), np.float32)}),
        make(np.ones((3, 2), np.float32), ts=jnp.array([0.0, 5.0])),
    )
    for other in others:
        with pytest.raises(ValueError, match="`chunk` must be like the chunks before"):
            running.update(other)
    assert running.summary().num_draws == 3
    weighted = with_weights(draws, np.ones(3, np.float32))
    with pytest.raises(ValueError, match="`chunk` has weights.*`num_samples`"):
        RunningSummary().update(weighted)


def test_no_memory_grows_with_the_number_of_draws():
    """A flag for every draw and initial state would be a gigabyte of them here."""
    running = RunningSummary()
    running.update(make(np.ones((2, 1_000, 3, 1), np.float32)))
    running._num_draws = 10**6
    tracemalloc.start()
    summary = running.summary()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert summary.mean.shape == (1_000, 3, 1)
    assert peak < 2**20
