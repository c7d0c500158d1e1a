from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffrax import RESULTS
from scipy.special import ndtr, ndtri

import BayesianJaxModels as bjm
from BayesianJaxModels import (
    AllFailedError,
    Problem,
    Trajectory,
    make_parameter,
    predict,
)
from BayesianJaxModels._calibrate.sbc import pit_ranks
from BayesianJaxModels._compute import fold_in
from BayesianJaxModels._dynamics.event import End
from BayesianJaxModels.calibration import coverage, pit
from BayesianJaxModels.likelihoods import NormalLikelihood

LEVELS = (0.1, 0.5, 0.9)


def grid(n):
    """The middles of `n` slices of a standard normal with equal mass."""
    return ndtri((np.arange(n) + 0.5) / n)


def test_pointwise_coverage_of_a_normal():
    truth = grid(400)[:, None]
    for scale in (1.0, 0.5):
        draws = np.broadcast_to(scale * grid(2_001)[:, None, None], (2_001, 400, 1))
        found = coverage(draws, truth, LEVELS, time_axis=1)
        half = scale * ndtri((1 + np.array(LEVELS)) / 2)
        np.testing.assert_allclose(found.pointwise, 2 * ndtr(half) - 1, atol=3e-3)
        np.testing.assert_array_equal(found.by_time[:, 0], found.pointwise)
    assert found.num_failed.shape == (400,)


def test_coverage_by_time_with_a_mask():
    draws = np.broadcast_to(grid(101)[:, None, None, None], (101, 2, 3, 2))
    truth = np.zeros((2, 3, 2))
    truth[:, 1] = [[9.0, 0.0], [-9.0, 9.0]]
    truth[:, 2] = np.nan
    mask = ~np.isnan(truth)
    mask[0, 0, 0] = False
    found = coverage(draws, truth, (0.5, 0.9), time_axis=1, mask=mask)
    np.testing.assert_array_equal(found.by_time, [[1.0, 0.25, np.nan]] * 2)
    np.testing.assert_array_equal(found.pointwise, [4 / 7] * 2)
    np.testing.assert_array_equal(found.simultaneous, [0.0, 0.0])
    assert found.levels == (0.5, 0.9)


def test_simultaneous_bands_of_independent_normals():
    # Of 6 independent normals all are within c with probability (2 Phi(c) - 1) ** 6.
    draws = np.random.default_rng(0).normal(5.0, 3.0, (20_000, 3, 2))
    levels = np.array([0.2, 0.5, 0.8, 0.95])
    reach = ndtri((1 + levels ** (1 / 6)) / 2)
    for share, expected in ((0.96, [1, 1, 1, 1]), (1.04, [0, 0, 0, 0])):
        for j, distance in enumerate(share * reach):
            truth = np.full((3, 2), 5.0)
            truth[1, 1] -= 3.0 * distance
            found = coverage(draws, truth, tuple(levels)).simultaneous
            assert found[j] == expected[j]
    # Points lie within their own intervals long before that.
    truth = np.full((3, 2), 5.0 + 3.0 * 1.8)
    found = coverage(draws, truth, (0.95,))
    assert (found.pointwise, found.simultaneous) == (1.0, 1.0)
    assert coverage(draws, truth, (0.5,)).simultaneous == 0.0


def test_a_given_initial_state_is_met():
    draws = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    draws[:, 0] = 0.1
    found = coverage(draws, np.array([0.1, 0.0, 0.0, 0.0]), (0.9,))
    np.testing.assert_array_equal(found.by_time, [[1.0, 1.0, 1.0, 1.0]])
    assert found.simultaneous == 1.0
    found = coverage(draws, np.array([0.2, 0.0, 0.0, 0.0]), (0.9,))
    assert (found.by_time[0, 0], found.simultaneous) == (0.0, 0.0)


def test_failed_draws_and_weights():
    rng = np.random.default_rng(1)
    draws, truth = rng.normal(size=(40, 5, 6)), rng.normal(size=(5, 6))
    failed = rng.random((40, 5)) < 0.3
    broken = draws.copy()
    broken[failed, 3:] = np.nan
    weights = rng.integers(0, 3, 40).astype(float)
    whole = coverage(broken, truth, LEVELS, time_axis=1, weights=weights)
    np.testing.assert_array_equal(whole.num_failed, failed.sum(axis=0))
    assert whole.num_draws == 40
    alone = [
        coverage(
            draws[~failed[:, i], i],
            truth[i],
            LEVELS,
            weights=weights[~failed[:, i]],
        )
        for i in range(5)
    ]
    for name in ("pointwise", "by_time", "simultaneous"):
        mean = np.mean([getattr(one, name) for one in alone], axis=0)
        np.testing.assert_allclose(getattr(whole, name), mean, rtol=1e-12)
    # A trajectory says itself which draws failed and what they weigh.
    codes = jax.vmap(
        jax.vmap(
            lambda f: RESULTS.where(f, RESULTS.nonlinear_divergence, RESULTS.successful)
        )
    )(jnp.asarray(failed))
    steps = jnp.ones((40, 5), int)
    ys, w = jnp.asarray(draws, jnp.float32), jnp.asarray(weights, jnp.float32)
    trajectory = Trajectory(jnp.arange(6.0), ys, codes, steps, w)
    same = coverage(trajectory, truth, LEVELS, time_axis=1)
    np.testing.assert_array_equal(same.pointwise, whole.pointwise)
    np.testing.assert_array_equal(same.num_failed, whole.num_failed)


def test_pit_by_hand(key):
    draws = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 2.0]])
    noise = np.asarray(jax.random.uniform(key, (1, 2, 1)), float).ravel()
    values = pit(draws, np.array([1.5, 1.0]), key=key)
    np.testing.assert_allclose(values, [(2 + noise[0]) / 5, 4 * noise[1] / 5])
    # Weights of an effective sample size of 2: half of it below.
    values = pit(draws, np.array([1.5, 1.0]), key=key, weights=np.array([1.0, 0, 0, 1]))
    np.testing.assert_allclose(values, [(1 + noise[0]) / 3, 2 * noise[1] / 3])
    mask = np.array([True, False])
    values = pit(draws, np.array([1.5, np.nan]), key=key, mask=mask)
    np.testing.assert_array_equal(np.isnan(values), ~mask)


def test_pit_is_uniform_for_counts_and_says_when_bands_are_wrong(key):
    rng = np.random.default_rng(0)
    draws = rng.poisson(1.2, (20, 2_000))
    assert pit_ranks(pit(draws, rng.poisson(1.2, 2_000), key=key)).passes
    assert not pit_ranks(pit(draws, rng.poisson(1.5, 2_000), key=key)).passes
    draws, truth = rng.normal(size=(20, 500)), rng.normal(size=500)
    assert pit_ranks(pit(draws, truth, key=key)).passes
    assert not pit_ranks(pit(draws, 1.5 * truth, key=key)).passes


def test_left_out_draws_are_said(key):
    draws = np.zeros((4, 3))
    draws[1, 2] = np.inf
    with pytest.warns(UserWarning, match="1 of 4 draws failed"):
        values = pit(draws, np.ones(3), key=key)
    assert np.all(values > 3 / 4)


def decays(n=201):
    """Of rates on a grid from 0 to 1, ended by an event where they are below .5."""
    rates, ts = jnp.linspace(0.0, 1.0, n), jnp.linspace(0.0, 2.0, 9)
    times = jnp.log(2.0) / rates
    is_reached = ts <= times[:, None]
    ys = jnp.where(is_reached, jnp.exp(-rates[:, None] * ts), jnp.nan)
    ended = times < ts[-1]
    y_end = jnp.exp(-rates * jnp.minimum(times, ts[-1]))
    codes = jax.vmap(
        lambda ended: RESULTS.where(ended, RESULTS.event_occurred, RESULTS.successful)
    )(ended)
    end = End(jnp.minimum(times, ts[-1]), y_end, ended, is_reached)
    steps = jnp.ones(n, int)
    return Trajectory(ts, ys, codes, steps, end=end)


def take(trajectory, draws):
    arrays = (trajectory.ys, trajectory.result, trajectory.num_steps, trajectory.end)
    ys, result, num_steps, end = jax.tree.map(lambda leaf: leaf[draws], arrays)
    return Trajectory(trajectory.ts, ys, result, num_steps, end=end)


def test_draws_that_events_ended_count_until_then(key):
    draws, ts = decays(), np.linspace(0.0, 2.0, 9)
    # Of what still runs at a time, rates are spread evenly from 0 to log(2) / t.
    fastest = np.log(2) / np.maximum(ts, np.log(2))
    truth = np.exp(-0.3 * fastest * ts)
    levels = (0.3, 0.39, 0.41, 0.5)
    found = coverage(draws, truth, levels)
    assert (found.num_draws, found.num_failed) == (201, 0)
    inside = np.array([False, False, True, True])
    np.testing.assert_array_equal(found.by_time[:, 1:], inside[:, None].repeat(8, 1))
    uniform = np.asarray(jax.random.uniform(key, (1, 9, 1)), float).ravel()
    counts = np.asarray(draws.is_reached).sum(axis=0)
    slower = np.floor(np.round(0.3 * 200 * fastest, 4)) + 1  # and so above
    values = pit(draws, truth, key=key)
    exact = (counts - slower + uniform) / (counts + 1)
    np.testing.assert_allclose(values[1:], exact[1:], atol=1.01 / counts.min())
    assert np.all(np.abs(values[1:] - 0.7) < 0.015)
    # Weights of whole numbers are repeated draws, also of those that ended.
    weights = np.arange(201) % 3
    weighted = coverage(replace(draws, weights=jnp.float32(weights)), truth, levels)
    repeated = take(draws, np.repeat(np.arange(201), weights))
    repeated = coverage(repeated, truth, levels)
    np.testing.assert_array_equal(weighted.by_time, repeated.by_time)


def test_bands_of_draws_that_events_ended():
    # Two draws stay at -1 and 1, one at 0 is ended after the first of three times.
    ys = jnp.array([[0.0, 3.0, 3.0], [-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
    ended, is_reached = jnp.arange(3) == 0, jnp.ones((3, 3), bool).at[0, 1:].set(False)
    codes = jax.vmap(
        lambda ended: RESULTS.where(ended, RESULTS.event_occurred, RESULTS.successful)
    )(ended)
    end = End(jnp.zeros(3), ys[:, 0], ended, is_reached)
    draws = Trajectory(jnp.arange(3.0), ys, codes, jnp.ones(3, int), end=end)
    # In sds from the mean: 0 for the one that ended, and (3 / 2) ** .5 for the others.
    for level, reach in ((0.2, 0.4 * 1.5**0.5), (0.75, 1.5**0.5)):
        for share, inside in ((0.99, 1.0), (1.01, 0.0)):
            truth = np.array([0.0, share * reach, 0.0])
            assert coverage(draws, truth, (level,)).simultaneous == inside
    # One that ended before anything was observed is no draw of the band.
    seen = np.array([False, True, True])
    truth = np.array([0.0, 0.99, 0.0])
    assert coverage(draws, truth, (0.1,), mask=seen).simultaneous == 1.0
    none = take(draws, slice(1))
    with pytest.raises(
        ValueError, match=r"No draw of series 0 .* times \[1 2\].*`mask`"
    ):
        coverage(none, truth)
    assert coverage(none, truth, mask=~seen).pointwise.max() == 1.0


def test_errors(key):
    draws, truth = np.zeros((4, 3, 2)), np.zeros((3, 2))
    for levels in ((), (0.0,), (0.5, 1.0), (np.nan,)):
        with pytest.raises(ValueError, match=r"`levels` must be numbers in \(0, 1\)"):
            coverage(draws, truth, levels)
    with pytest.raises(ValueError, match=r"truth.shape.*\(4, 3, 2\).*\(2, 3\)"):
        coverage(draws, truth.T)
    with pytest.raises(ValueError, match="at least one draw"):
        pit(draws[:0], truth, key=key)
    with pytest.raises(ValueError, match="`time_axis` is 2.*axes 0 to 1"):
        coverage(draws, truth, time_axis=2)
    with pytest.raises(ValueError, match=r"`mask` must have shape \(3, 2\)"):
        coverage(draws, truth, mask=np.ones(2, bool))
    with pytest.raises(ValueError, match="be true somewhere"):
        coverage(draws, truth, mask=np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match="NaN or inf.*`mask`"):
        coverage(draws, np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="`weights` must be one number for each of 4"):
        coverage(draws, truth, weights=np.ones(3))
    with pytest.raises(AllFailedError, match="All draws of series 0 failed"):
        coverage(np.full((4, 3, 2), np.nan), truth)
    steps = jnp.ones(4, int)
    codes = jax.vmap(lambda _: RESULTS.successful)(steps)
    times = Trajectory(jnp.arange(3.0), jnp.zeros((4, 3, 2)), codes, steps)
    with pytest.raises(ValueError, match=r"`time_axis` is 1, but the times.*axis 0"):
        coverage(times, truth, time_axis=1)
    pair = {"a": jnp.zeros((4, 3)), "b": jnp.zeros((4, 3))}
    with pytest.raises(ValueError, match="one array for a state.*is a dict"):
        coverage(Trajectory(jnp.arange(3.0), pair, codes, steps), truth)


def test_coverage_prints_as_a_table():
    draws, truth = np.arange(1.0, 101)[:, None] * np.ones(2), np.array([50.0, 99.0])
    found = coverage(draws, truth, levels=(0.5, 0.99))
    lines = str(found).splitlines()
    assert lines[0].split() == ["level", "pointwise", "by", "time", "simultaneous"]
    assert lines[2].split() == ["0.5", "0.5", "0", "to", "1", "0"]
    assert lines[-1].endswith("100 draws")


def of_lines(key, **settings):
    """A prediction of a line and its data, of which one is missing."""
    data = np.array([0.1, np.nan, 2.2, 2.9])
    problem = Problem(
        lambda slope: slope.value * jnp.arange(4.0),
        NormalLikelihood(0.2),
        data,
        mask=~np.isnan(data),
        prior=None,
    )
    slope = make_parameter(1.0, stdv=0.1)
    return predict(problem, slope, key=key, num_samples=300, **settings)


def test_a_prediction_knows_its_data(key):
    found = of_lines(key)
    draws = np.asarray(found.observations)
    settings = {"mask": found.mask}
    same = coverage(draws, found.observed, LEVELS, **settings)
    for name in ("pointwise", "by_time", "simultaneous"):
        of_prediction = getattr(coverage(found, levels=LEVELS), name)
        np.testing.assert_array_equal(of_prediction, getattr(same, name))
    # With the key of its first series.
    values = pit(found, key=key)
    assert values.shape == (4,)
    np.testing.assert_array_equal(np.isnan(values), ~found.mask)
    expected = pit(draws, found.observed, key=fold_in(key, 0), **settings)
    np.testing.assert_array_equal(values, expected)
    # Held-out data, in the place of its own.
    held_out = np.array([0.0, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(
        coverage(found, held_out, LEVELS).by_time,
        coverage(draws, held_out, LEVELS).by_time,
    )


def test_a_prediction_of_several_series_has_one_for_each(key):
    problem = Problem(
        lambda slope: {"up": slope.value * jnp.ones(3), "down": -slope.value},
        NormalLikelihood(0.2),
        {"up": np.ones(3), "down": None},
        observe={"up": "up", "down": lambda out, slope: out["down"] * jnp.ones(2)},
        prior=None,
    )
    slope = make_parameter(1.0, stdv=0.1)
    found = predict(problem, slope, key=key, num_samples=50)
    assert set(coverage(found)) == {"up"}
    both = coverage(found, {"up": np.ones(3), "down": -np.ones(2)}, LEVELS)
    assert both["down"].by_time.shape == (3, 2)
    np.testing.assert_array_equal(
        both["down"].pointwise,
        coverage(np.asarray(found.observations["down"]), -np.ones(2), LEVELS).pointwise,
    )
    with pytest.raises(ValueError, match=r"the series \['down', 'up'\]"):
        coverage(found, {"side": np.ones(3)})


def test_a_prediction_without_data_needs_some(key):
    problem = Problem(
        lambda slope: slope.value * jnp.ones(3), NormalLikelihood(0.2), None, prior=None
    )
    found = predict(problem, make_parameter(1.0, stdv=0.1), key=key, num_samples=5)
    with pytest.raises(ValueError, match="The prediction has no data"):
        pit(found, key=key)
    assert coverage(found, np.ones(3), LEVELS).by_time.shape == (3, 3)


def test_a_mask_may_leave_out_the_axes_of_the_state():
    rng = np.random.default_rng(0)
    draws, truth = rng.normal(size=(200, 4, 5, 2)), rng.normal(size=(4, 5, 2))
    seen = rng.uniform(size=(4, 5)) < 0.7
    whole = np.broadcast_to(seen[..., None], truth.shape)
    short, long = (coverage(draws, truth, time_axis=1, mask=m) for m in (seen, whole))
    np.testing.assert_array_equal(short.pointwise, long.pointwise)
    np.testing.assert_array_equal(short.by_time, long.by_time)
    with pytest.raises(ValueError, match="or that of its axes up to time"):
        coverage(draws, truth, time_axis=1, mask=np.ones(4, bool))


def test_subjects_of_a_population_are_series(key):
    """Also where a simulation returns arrays: their times are those of the subjects."""

    def problem_of(subject):
        return bjm.Problem(
            lambda drawn: drawn["effects"].value + 0 * subject.ts,
            bjm.likelihoods.NormalLikelihood(0.5),
            subject.observations,
            prior=None,
        )

    around = bjm.priors.Normal(lambda m: m["typical"].value, 1.0)
    population = bjm.Population(
        problem_of,
        [bjm.Subject([0.0, 1.0, 2.0][:n], [0.0, 0.5, 9.0][:n]) for n in (2, 3, 1)],
        prior=bjm.Prior({"['typical']": bjm.priors.Normal(), "['effects']": around}),
        effects="['effects']",
    )
    model = {
        "typical": bjm.make_parameter(np.zeros(()), stdv=0.1),
        "effects": bjm.make_parameter(np.zeros(3), stdv=0.1),
    }
    found = bjm.predict(population, model, key=key, num_samples=200)
    assert bjm.summarise(found).mean.shape == (3, 3)
    # Three subjects are seen at first, two then, and one at last, far from all draws.
    by_time = coverage(found, levels=(0.99,)).by_time
    np.testing.assert_allclose(by_time[0], [1.0, 1.0, 0.0])
    assert np.isfinite(pit(found, key=key)).sum() == 6
    with pytest.raises(ValueError, match=r"`time_axis` is 0, but the times.*axis 1"):
        coverage(found, time_axis=0)
