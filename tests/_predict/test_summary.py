import statistics

import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels._predict.running_summary import RunningSummary
from BayesianJaxModels._predict.summary import Summary, summarise
from tests._predict.cases import assert_same, make, with_weights

PROBS = (0.05, 0.25, 0.5, 0.75, 0.95)


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


def test_plain_arrays_are_draws(mixed):
    ys = np.random.default_rng(0).normal(size=(30, 4, 2)).astype(np.float32)
    ys[3, 1, 0] = np.nan
    ts = np.array([0.0, 1.0, 4.0, 9.0])
    of_array = summarise(ys, ts=ts)
    of_trajectory = summarise(make(ys, ts=jnp.asarray(ts, jnp.float32)))
    for name in ("ts", "mean", "stdv", "quantiles", "num_used", "num_failed"):
        assert_same(getattr(of_array, name), getattr(of_trajectory, name))
    assert of_array.num_failed == 1
    running = RunningSummary()
    running.update(ys)
    np.testing.assert_allclose(running.summary().mean, of_array.mean, rtol=1e-6)
    counts = np.arange(6).reshape(3, 2)
    np.testing.assert_array_equal(summarise(counts).mean, [2.0, 3.0])
