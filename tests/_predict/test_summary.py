import statistics
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffrax import RESULTS

from BayesianJaxModels._dynamics.event import End
from BayesianJaxModels._dynamics.trajectory import Trajectory
from BayesianJaxModels._predict.running_summary import RunningSummary
from BayesianJaxModels._predict.summary import Summary, summarise

PROBS = (0.05, 0.25, 0.5, 0.75, 0.95)


def make(ys, failed=None, ended=None, ts=None):
    """A trajectory of draws; `failed` has its batch shape, which `ended` shares."""
    ys = jax.tree.map(jnp.asarray, ys)
    leaf = jax.tree.leaves(ys)[0]
    failed = np.zeros(leaf.shape[:1], bool) if failed is None else np.asarray(failed)
    ended = np.zeros(failed.shape, bool) if ended is None else np.asarray(ended)

    def one(failed, ended):
        good = RESULTS.where(ended, RESULTS.event_occurred, RESULTS.successful)
        return RESULTS.where(failed, RESULTS.max_steps_reached, good)

    for _ in range(failed.ndim):
        one = jax.vmap(one)
    if ts is None:
        ts = jnp.arange(leaf.shape[failed.ndim], dtype=jnp.float32)
    result = one(jnp.asarray(failed), jnp.asarray(ended))
    finite = [
        np.isfinite(leaf).all(axis=tuple(range(failed.ndim + 1, leaf.ndim)))
        for leaf in jax.tree.leaves(ys)
    ]
    start = jnp.zeros(failed.shape)
    end = End(start, start, jnp.asarray(ended), jnp.asarray(np.all(finite, axis=0)))
    num_steps = jnp.ones(failed.shape, int)
    return Trajectory(ts, ys, result, num_steps, None, end if ended.any() else None)


def take(trajectory, part):
    arrays = (trajectory.ys, trajectory.result, trajectory.num_steps, trajectory.end)
    ys, result, num_steps, end = jax.tree.map(lambda leaf: leaf[part], arrays)
    return Trajectory(trajectory.ts, ys, result, num_steps, None, end)


def assert_same(actual, desired, **tolerance):
    assert jax.tree.structure(actual) == jax.tree.structure(desired)
    jax.tree.map(
        lambda left, right: np.testing.assert_allclose(left, right, **tolerance),
        actual,
        desired,
    )


@pytest.fixture
def mixed():
    """Two initial states, a dict for a state, failed draws and events."""
    rng = np.random.default_rng(1)
    ys = {
        "position": rng.normal(2.0, 1.0, (60, 2, 4, 3)).astype(np.float32),
        "energy": rng.gamma(2.0, 1.0, (60, 2, 4)).astype(np.float32),
    }
    failed = rng.random((60, 2)) < 0.1
    ended = ~failed & (rng.random((60, 2)) < 0.2)
    for leaf in ys.values():
        leaf[failed, 2:] = np.nan
        leaf[ended, 3:] = np.inf
    return make(ys, failed, ended), ys, failed, ended


def test_small_case_by_hand():
    draws = np.array([10.0, 0.0, 2.0, 1.0], np.float32)[:, None]
    summary = summarise(make(draws), (0.25, 0.5), interval_mass=0.75)
    np.testing.assert_allclose(summary.mean, [3.25])
    np.testing.assert_allclose(summary.stdv, [(62.75 / 4) ** 0.5])
    np.testing.assert_allclose(summary.quantiles, [[0.75], [1.5]])
    # The shortest with 3 of 4 draws is [0, 2]; the equal-tailed one reaches to 10.
    np.testing.assert_allclose(summary.highest_density, [[0.0], [2.0]])
    np.testing.assert_allclose(summary.equal_tailed, [[0.375], [7.0]])
    whole = summarise(make(draws), interval_mass=0.9)
    np.testing.assert_allclose(whole.highest_density, [[0.0], [10.0]])
    assert whole.probs == PROBS


def test_one_draw():
    summary = summarise(make(np.full((1, 2), 3.0, np.float32)))
    np.testing.assert_allclose(summary.stdv, [0.0, 0.0])
    np.testing.assert_allclose(summary.highest_density, 3.0)
    np.testing.assert_allclose(summary.quantiles, 3.0)


def test_normal_draws():
    n, normal = 40_000, statistics.NormalDist(3.0, 2.0)
    rng = np.random.default_rng(0)
    summary = summarise(make(rng.normal(3.0, 2.0, (n, 3)).astype(np.float32)))
    # Five standard errors of each, which the normal density at the quantile gives.
    assert np.all(np.abs(summary.mean - 3.0) < 5 * 2.0 / n**0.5)
    assert np.all(np.abs(summary.stdv - 2.0) < 5 * 2.0 / (2 * n) ** 0.5)
    for prob, quantile in zip(PROBS, summary.quantiles, strict=True):
        exact = normal.inv_cdf(prob)
        error = (prob * (1 - prob) / n) ** 0.5 / normal.pdf(exact)
        assert np.all(np.abs(quantile - exact) < 5 * error)
    low, high = summary.highest_density
    assert np.all(high - low <= np.subtract(*summary.equal_tailed[::-1]) + 1e-6)
    # The ends of the shortest interval converge as n^(-1/3) only.
    np.testing.assert_allclose(low, normal.inv_cdf(0.05), atol=0.35)
    np.testing.assert_allclose(high, normal.inv_cdf(0.95), atol=0.35)


def test_highest_density_of_skewed_draws():
    # For an exponential it starts at 0 and ends where the mass is reached.
    draws = np.random.default_rng(0).exponential(1.0, (20_000, 1)).astype(np.float32)
    low, high = summarise(make(draws), interval_mass=0.8).highest_density
    np.testing.assert_allclose(low, 0.0, atol=0.02)
    np.testing.assert_allclose(high, -np.log(0.2), atol=0.08)


def test_against_numpy_draw_by_draw(mixed):
    trajectory, ys, failed, ended = mixed
    summary = summarise(trajectory, interval_mass=0.5)
    assert isinstance(summary, Summary)
    for name, leaf in ys.items():
        for entry in np.ndindex(leaf.shape[1:]):
            out = failed[:, entry[0]] | (ended[:, entry[0]] & (entry[1] == 3))
            column = leaf[(slice(None), *entry)][~out].astype(float)
            assert summary.num_used[entry[:2]] == len(column)
            for actual, desired in (
                (summary.mean[name], column.mean()),
                (summary.stdv[name], column.std()),
                (summary.equal_tailed[0][name], np.quantile(column, 0.25)),
                (summary.equal_tailed[1][name], np.quantile(column, 0.75)),
            ):
                np.testing.assert_allclose(actual[entry], desired, rtol=1e-5)
            np.testing.assert_allclose(
                summary.quantiles[name][(slice(None), *entry)],
                np.quantile(column, PROBS),
                rtol=1e-5,
            )
    np.testing.assert_array_equal(summary.num_failed, failed.sum(axis=0))
    np.testing.assert_allclose(summary.failed_fraction, failed.mean(axis=0))
    assert summary.num_draws == 60
    text = str(summary)
    assert "60 draws for each of a batch (2,)" in text
    assert f"{failed.sum()} of 120 solves failed" in text
    share = 1 - ended.sum(axis=0) / (~failed).sum(axis=0)
    np.testing.assert_allclose(summary.share_running[:, 3], share)
    np.testing.assert_array_equal(summary.share_running[:, :3], 1.0)
    low, high = sorted(f"{100 * one:.3g}" for one in share)
    assert f"at the last time {low} to {high} % of the draws still run" in text


def test_blocks_do_not_matter(mixed, monkeypatch):
    trajectory = mixed[0]
    summary = summarise(trajectory)
    monkeypatch.setitem(summarise.__globals__, "_BLOCK_SIZE", 5 * 60)
    assert_same(summarise(trajectory), summary)


def test_failed_draws_are_left_out():
    ys = np.arange(10.0, dtype=np.float32)[:, None].repeat(3, axis=1)
    summary = summarise(make(ys, failed=np.arange(10) >= 5))
    np.testing.assert_allclose(summary.mean, 2.0)
    assert summary.num_failed.shape == ()
    assert (summary.num_draws, summary.num_failed) == (10, 5)
    assert summary.failed_fraction == 0.5
    assert str(summary) == repr(summary)
    assert "10 draws; 5 of 10 solves failed (50 %) and are left out" in str(summary)
    assert "3 times from 0 to 2" in str(summary)
    # So is one that diffrax calls successful and whose states are not finite.
    ys[0, 2] = np.nan
    assert summarise(make(ys)).num_failed == 1


def test_one_initial_state_without_draws():
    failed = np.array([[True, False], [True, False]])
    ys = np.ones((2, 2, 3), np.float32)
    running = RunningSummary(grid=(0.0, 2.0, 10))
    running.update(make(ys, failed))
    for summary in (summarise(make(ys, failed)), running.summary()):
        for leaf in (summary.mean, summary.stdv, *summary.equal_tailed):
            assert np.all(np.isnan(leaf[0]))
            assert np.all(np.isfinite(leaf[1]))
        assert "NaN where no draw is left" in str(summary)


def test_times_of_a_batch():
    ys = np.ones((4, 2, 3), np.float32)
    failed = np.zeros((4, 2), bool)
    ts = jnp.array([0.0, 1.0, 2.0])
    same = summarise(make(ys, failed, ts=jnp.broadcast_to(ts, (4, 2, 3))))
    assert same.ts.shape == (3,)
    of_states = jnp.stack([ts, 2 * ts])
    differ = summarise(make(ys, failed, ts=jnp.broadcast_to(of_states, (4, 2, 3))))
    np.testing.assert_allclose(differ.ts, of_states)
    of_draws = ts * jnp.arange(1.0, 5.0)[:, None, None] * jnp.ones((4, 2, 3))
    with pytest.raises(ValueError, match="must have the same `ts`"):
        summarise(make(ys, failed, ts=of_draws))


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


def test_errors():
    draws = make(np.ones((3, 2), np.float32))
    with pytest.raises(ValueError, match=r"first axis of at least one.*shape \(\)"):
        summarise(make(np.ones(2, np.float32), failed=np.array(False)))
    with pytest.raises(ValueError, match=r"first axis of at least one.*shape \(0,\)"):
        summarise(make(np.ones((0, 2), np.float32)))
    for probs in ((), (0.0,), (0.5, 1.0), (float("nan"),)):
        with pytest.raises(ValueError, match=r"`probs` must be numbers in \(0, 1\)"):
            summarise(draws, probs)
    for mass in (0.0, 1.0, -0.5, float("nan")):
        with pytest.raises(ValueError, match=r"`interval_mass` must be in \(0, 1\)"):
            summarise(draws, interval_mass=mass)
    with pytest.raises(ValueError, match="All 3 solves.*result.*max_steps"):
        summarise(make(np.ones((3, 2), np.float32), failed=[True] * 3))


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


def with_weights(trajectory, weights):
    return replace(trajectory, weights=jnp.asarray(weights))


def test_equal_weights_change_nothing(mixed):
    trajectory = mixed[0]
    plain = summarise(trajectory, (0.05, 0.3, 0.5, 0.95), interval_mass=0.8)
    for weight in (1.0, 1e-3):
        weights = np.full(60, weight, np.float32)
        equal = summarise(
            with_weights(trajectory, weights),
            (0.05, 0.3, 0.5, 0.95),
            interval_mass=0.8,
        )
        for name in ("mean", "stdv", "quantiles", "equal_tailed", "highest_density"):
            # The draws are float32, and so are differences of them.
            assert_same(getattr(equal, name), getattr(plain, name), rtol=1e-6)
        np.testing.assert_array_equal(equal.num_used, plain.num_used)
        np.testing.assert_allclose(
            equal.effective_sample_size, 60 - plain.num_failed, rtol=1e-6
        )
    assert plain.effective_sample_size is None


def test_weighted_by_hand():
    draws = make(np.array([2.0, 0.0, 1.0], np.float32)[:, None])
    weighted = with_weights(draws, np.array([1.0, 1.0, 2.0], np.float32))
    summary = summarise(weighted, (0.25, 0.5, 0.75), interval_mass=0.75)
    # The middles of the weights are at 0.5, 2 and 3.5 of 4.
    np.testing.assert_allclose(summary.quantiles, [[0.5], [1.0], [1.5]])
    np.testing.assert_allclose(summary.equal_tailed, [[0.25], [1.75]])
    np.testing.assert_allclose(summary.mean, [1.0])
    np.testing.assert_allclose(summary.stdv, [0.5**0.5])
    np.testing.assert_allclose(summary.highest_density, [[0.0], [1.0]])
    assert "3 draws, weighted, effective sample size 3; 0 of" in str(summary)


def test_whole_weights_are_repeated_draws():
    rng = np.random.default_rng(0)
    ys = rng.gamma(2.0, 1.0, (40, 3)).astype(np.float32)
    counts = rng.integers(0, 5, 40)
    weighted = summarise(with_weights(make(ys), counts / np.float32(7)))
    repeated = summarise(make(np.repeat(ys, counts, axis=0)))
    for name in ("mean", "stdv", "highest_density"):
        assert_same(getattr(weighted, name), getattr(repeated, name), rtol=1e-6)
    # Between two draws lies all by which quantiles may differ.
    gap = np.diff(np.sort(ys, axis=0), axis=0).max(axis=0)
    assert np.all(np.abs(weighted.quantiles - repeated.quantiles) <= gap)
    np.testing.assert_allclose(
        weighted.effective_sample_size, counts.sum() ** 2 / (counts**2).sum()
    )


def test_weighted_draws_of_a_wider_normal():
    n, normal = 20_000, statistics.NormalDist()
    draws = 2.0 * np.random.default_rng(0).normal(size=(n, 1))
    weights = np.exp(-0.5 * draws[:, 0] ** 2 * (1 - 1 / 4))
    trajectory = with_weights(make(draws.astype(np.float32)), np.float32(weights))
    summary = summarise(trajectory)
    ess = float(summary.effective_sample_size)
    # E[w]**2 / E[w**2] for these two normals.
    np.testing.assert_allclose(ess / n, 7**0.5 / 4, rtol=0.02)
    assert abs(summary.mean[0]) < 5 / ess**0.5
    assert abs(summary.stdv[0] - 1) < 5 / (2 * ess) ** 0.5
    for prob, quantile in zip(PROBS, summary.quantiles[:, 0], strict=True):
        exact = normal.inv_cdf(prob)
        error = (prob * (1 - prob) / ess) ** 0.5 / normal.pdf(exact)
        assert abs(quantile - exact) < 5 * error


def test_weights_of_failed_draws_count_for_nothing():
    rng = np.random.default_rng(0)
    ys, weights = rng.normal(size=(30, 4)).astype(np.float32), rng.random(30)
    failed = np.arange(30) % 3 == 0
    ys[failed, 2:] = np.nan
    weights = np.where(failed, 100.0, weights).astype(np.float32)
    summary = summarise(with_weights(make(ys, failed), weights))
    without = summarise(with_weights(make(ys[~failed]), weights[~failed]))
    for name in ("mean", "stdv", "quantiles", "effective_sample_size"):
        assert_same(getattr(summary, name), getattr(without, name), rtol=1e-12)
    assert (summary.num_failed, summary.num_draws) == (10, 30)
    assert "10 of 30 solves failed" in str(summary)
    # One draw with nearly all weight, and a far one with none.
    weights = np.where(np.arange(30) == 1, 1e6, 1.0) * (np.arange(30) != 2)
    ys[2] = 1e9
    one = summarise(with_weights(make(ys, failed), weights.astype(np.float32)))
    np.testing.assert_allclose(one.mean, ys[1], atol=1e-4)
    assert np.all(one.quantiles < 10)
    assert str(one).count("effective sample size 1;") == 1


def test_bad_weights():
    draws = make(np.ones((3, 2), np.float32), failed=[True, False, False])
    for weights in ([1.0, 1.0], [1.0, -1.0, 1.0], [1.0, np.nan, 1.0], [0.0, 0.0, 0.0]):
        with pytest.raises(ValueError, match="`weights` must be"):
            summarise(with_weights(draws, np.float32(weights)))
    with pytest.raises(ValueError, match="with a weight above 0 failed"):
        summarise(with_weights(draws, np.float32([1.0, 0.0, 0.0])))
    weighted = with_weights(draws, np.ones(3, np.float32))
    with pytest.raises(ValueError, match="`chunk` has weights.*`num_samples`"):
        RunningSummary().update(weighted)
