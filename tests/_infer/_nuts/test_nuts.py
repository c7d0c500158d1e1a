import os
import sys
from functools import cache, partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arviz_stats.base.array import array_stats
from jax import lax
from scipy import stats

import BayesianJaxModels as bjm
from BayesianJaxModels._infer._nuts.chain import (
    NOWHERE,
    PLACING,
    SAMPLING,
    Move,
    advance,
    nowhere,
)
from BayesianJaxModels._infer._nuts.diagnostics import judge, start_ratio
from BayesianJaxModels._infer._nuts.starts import _allot, find_starts
from BayesianJaxModels._infer.arguments import check_engine_arguments
from BayesianJaxModels._infer.density import FlatDensity

D = 10
GAUSSIAN, LOG_GAMMA, TWO_MODES, FUNNEL, GAMMA, HALF_NORMAL, TRAP, NEVER = range(8)
ROTATION = stats.ortho_group(D, seed=1).rvs()
COVARIANCE = (ROTATION * np.geomspace(1e-2, 1e2, D)) @ ROTATION.T
CENTRE = np.linspace(-3.0, 3.0, D)
SHAPE = 0.4  # of the log-gamma distribution
traces = []


class Target(eqx.Module):
    """Several densities of ten entries in one, which is compiled once."""

    kind: jax.Array
    centre: jax.Array
    factor: jax.Array

    def __call__(self, drawn):
        traces.append(1)
        x = drawn.x.mean
        first, rest = x[0], -jnp.sum(x[1:] ** 2) / 2

        def gaussian():
            return -jnp.sum(jnp.matmul(self.factor, x - self.centre) ** 2) / 2

        def log_gamma():
            return SHAPE * first - jnp.exp(first) + rest

        def two_modes():
            return jnp.logaddexp(-2 * (first - 6) ** 2, -2 * (first + 6) ** 2) + rest

        def funnel():
            widths = jnp.exp(first / 2)
            return -(first**2) / 18 + rest / widths**2 - (D - 1) * jnp.log(widths)

        def gamma():
            return jnp.log(first) - first + rest

        def half_normal():
            return jnp.where(first > 0, -(first**2) / 2, -jnp.inf) + rest

        def trap():  # finite everywhere, without a gradient below zero
            trapped = jnp.sqrt(jnp.maximum(first, 0))
            return -(trapped**4) / 2 + rest

        def never():
            return jnp.full_like(first, jnp.nan)

        branches = [gaussian, log_gamma, two_modes, funnel, gamma, half_normal, trap]
        return lax.switch(self.kind, [*branches, never])


class Model(bjm.Module):
    x: bjm.AbstractParameter


def target(kind, dtype=jnp.float32):
    factor = np.linalg.inv(np.linalg.cholesky(COVARIANCE))
    arrays = jnp.asarray(CENTRE, dtype), jnp.asarray(factor, dtype)
    return Target(jnp.asarray(kind, jnp.int32), *arrays)


def start(mean=0.0, stdv=1.0, dtype=jnp.float32):
    """Entry 0 as given, the others standard normal."""
    mean = jnp.zeros(D, dtype).at[0].set(mean)
    stdv = jnp.ones(D, dtype).at[0].set(stdv)
    return Model(bjm.GaussianParameter(mean, jnp.sqrt(stdv - 1e-4)))


run = partial(bjm.nuts, num_warmup=300)


def assert_within_error(draws, wanted):
    """Means over chains of draws `(chains, n, k)` against the wanted ones."""
    draws = np.asarray(draws, np.float64)
    error = array_stats.mcse(draws, chain_axis=0, draw_axis=1)
    assert np.all(np.abs(draws.mean((0, 1)) - wanted) < 4 * error)
    assert np.all(error < 0.12 * draws.std((0, 1)))


def _first(drawn):
    return drawn.x.mean[0]


def by_chain(posterior, num_chains=4):
    return np.asarray(posterior.draws).reshape(num_chains, -1, D)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_correlated_gaussian_is_recovered_from_a_rough_start(dtype, request, key):
    if dtype == jnp.float64:
        request.getfixturevalue("x64")
    model = start(dtype=dtype)
    rough = COVARIANCE * 1.5 + np.diag(np.diag(COVARIANCE)) * 0.02
    centre = bjm.unflatten_means(model, jnp.asarray(CENTRE + 0.2, dtype))
    begin = bjm.JointPosterior.gaussian(centre, jnp.asarray(rough, dtype))
    posterior = run(target(GAUSSIAN, dtype), begin, key=key)
    assert posterior.draws.dtype == dtype
    assert posterior.draws.shape == (4_000, D)
    whitening = np.linalg.inv(np.linalg.cholesky(COVARIANCE))
    z = (by_chain(posterior) - CENTRE) @ whitening.T
    assert_within_error(z, 0)
    pairs = np.triu_indices(D)
    products = z[..., pairs[0]] * z[..., pairs[1]]
    assert_within_error(products, (pairs[0] == pairs[1]).astype(float))
    found = posterior.diagnostics
    assert found.num_divergent.sum() == found.num_failed.sum() == 0
    assert found.complaints() == []
    assert np.all((found.acceptance > 0.7) & (found.acceptance < 0.97))
    assert "4 chains" in repr(found)


def test_a_model_keeps_its_precision_where_another_is_the_default(x64, key):
    chain = nowhere(np.eye(D))
    plan, numbers = np.zeros((2, 3), np.int32), (np.int32(0), np.int32(2), 0.8)
    arguments = jnp.zeros(D), chain, key, plan, *map(jnp.asarray, numbers), 10
    density = FlatDensity(target(GAUSSIAN), start())
    after, moves = eqx.filter_eval_shape(advance, density, *arguments)
    assert moves.draw.dtype == jnp.float32
    for one, other in zip(*map(jax.tree.leaves, (chain, after)), strict=True):
        assert one.dtype == other.dtype


def test_a_skewed_density_has_its_moments(key):
    # log g with g ~ Gamma(.4), of skewness -1.6. One tail is so steep that with an
    # acceptance of .8 a few draws diverge in two of five runs.
    settings = {"key": key, "target_acceptance": 0.95}
    posterior = run(target(LOG_GAMMA), start(-2.0, 2.0), **settings)
    exact = stats.loggamma(SHAPE)
    x = by_chain(posterior)[..., 0]
    every = bjm.map_posterior(_first, posterior, key=key, num_samples=None)
    assert np.array_equal(every, np.ravel(x))
    powers = np.stack([x, (x - exact.mean()) ** 2], axis=-1)
    assert_within_error(powers, [exact.mean(), exact.var()])
    cdf = np.stack([x < exact.ppf(q) for q in (0.05, 0.5, 0.95)], axis=-1)
    assert_within_error(cdf, [0.05, 0.5, 0.95])


def test_r_hat_sees_two_modes(key):
    # Of fewer chains all may start on one side.
    with pytest.warns(UserWarning, match="R-hat is .* at least 2 different modes"):
        posterior = run(target(TWO_MODES), start(0.0, 5.0), key=key, num_chains=8)
    found = posterior.diagnostics
    means = np.asarray(posterior.draws).reshape(8, -1, D)[..., 0].mean(1)
    assert means.min() < -5.5
    assert means.max() > 5.5
    assert found.r_hat[0] > 1.2
    assert np.all(found.r_hat[1:] < 1.02)
    assert found.num_modes == 2


PRIOR = bjm.Prior(default=bjm.priors.Normal(0.0, 5.0))


@pytest.mark.parametrize("stdv", [None, 1.0])
def test_from_a_prior_chains_find_both_modes(stdv, key):
    # 4 of 8 on each side, but for the chance of 2 in 256 that all are on one.
    model = start(3.0) if stdv else Model(bjm.make_parameter(jnp.full(D, 3.0)))
    with pytest.warns(UserWarning, match="at least 2 different modes"):
        posterior = run(
            target(TWO_MODES), model, key=key, prior=PRIOR, num_chains=8, num_samples=50
        )
    means = np.asarray(posterior.draws).reshape(8, -1, D)[..., 0].mean(1)
    assert np.all(np.abs(np.abs(means) - 6) < 0.5)
    assert 1 <= np.sum(means > 0) <= 7
    np.testing.assert_allclose(posterior.diagnostics.start_ratio[1:], 5, rtol=0.4)


def test_a_model_that_was_never_fitted_is_sampled_from_its_prior(key):
    model = Model(bjm.make_parameter(jnp.zeros(D)))
    settings = {"key": key, "target_acceptance": 0.95}
    posterior = run(target(LOG_GAMMA), model, prior=PRIOR, **settings)
    exact = stats.loggamma(SHAPE)
    x = by_chain(posterior)[..., :2]
    assert_within_error(x, [exact.mean(), 0])
    assert_within_error((x - [exact.mean(), 0]) ** 2, [exact.var(), 1])


@pytest.mark.parametrize("make", [list, "stacked"])
def test_chains_start_in_the_components_of_a_mixture(make, key):
    modes, weights = [start(6.0, 0.5), start(-6.0, 0.5)], [0.88, 0.12]
    if make is list:
        mixture = bjm.MixturePosterior(modes, weights)
    else:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *modes)
        mixture = bjm.ensemble(stacked, weights)
    with pytest.warns(UserWarning, match="different modes.*Laplace masses.$"):
        posterior = run(target(TWO_MODES), mixture, key=key, num_samples=500)
    x = by_chain(posterior)[..., 0]
    for chains, mode in ((x[:3], 6), (x[3:], -6)):
        moments = np.stack([chains, (chains - mode) ** 2], axis=-1)
        assert_within_error(moments, [mode, 0.25])
    assert posterior.diagnostics.num_modes == 2
    assert posterior.diagnostics.missed_mass == 0
    # In the coordinates of one mode: those of both are twelve times as wide.
    assert np.all(posterior.diagnostics.step_size > 0.3)


def test_mass_that_no_chain_came_near_is_told(key):
    modes = [start(-6.0, 0.5), start(6.0, 0.5)]
    mixture = bjm.MixturePosterior(modes, [0.12, 0.88])
    with pytest.warns(UserWarning, match="components of `start` with 0.12 of its mass"):
        posterior = run(target(TWO_MODES), mixture, key=key, num_chains=1)
    assert np.all(posterior.draws[:, 0] > 0)
    # Components beside each other are one mode, which any chain visits.
    beside = bjm.MixturePosterior([start(6.0, 0.5), start(6.3, 0.5)])
    posterior = run(target(TWO_MODES), beside, key=key, num_chains=1)
    assert posterior.diagnostics.missed_mass == 0


@pytest.mark.parametrize(
    ("shares", "num_chains", "wanted"),
    [
        ([1.0], 4, [0, 0, 0, 0]),
        ([0.88, 0.12], 4, [0, 0, 0, 1]),
        ([0.12, 0.88], 2, [0, 1]),
        ([0.2, 0.5, 0.3], 2, [1, 2]),
        ([0.995, 0.005], 4, [0, 0, 0, 0]),
        ([0.5, 0.5, 0.0], 5, [0, 0, 0, 1, 1]),
        ([0.005] * 200, 2, [0, 1]),
    ],
)
def test_chains_are_allotted_by_mass(shares, num_chains, wanted):
    assert sorted(_allot(np.asarray(shares), num_chains)) == wanted


def test_divergences_are_counted(key):
    with pytest.warns(UserWarning, match="draws diverged"):
        posterior = run(target(FUNNEL), start(), key=key, target_acceptance=0.5)
    assert np.isfinite(posterior.draws).all()
    assert posterior.diagnostics.num_divergent.sum() > 5


@pytest.mark.parametrize(
    ("kind", "exact"),
    [
        (GAMMA, stats.gamma(2)),  # NaN below zero
        (HALF_NORMAL, stats.halfnorm()),  # minus infinity there
        (TRAP, stats.halfnorm()),  # finite, but with a gradient of NaN
    ],
)
def test_where_the_density_is_not_finite_moves_are_rejected(kind, exact, key):
    # Starts are looked for until one is above zero.
    with pytest.warns(UserWarning, match=r"of 4000 draws met .* not finite"):
        posterior = run(target(kind), start(0.2, 1.0), key=key, spread=1.0)
    x = by_chain(posterior)[..., 0]
    assert x.min() > 0
    second = exact.var() + exact.mean() ** 2
    assert_within_error(np.stack([x, x**2], axis=-1), [exact.mean(), second])
    assert posterior.diagnostics.num_failed.sum() > 40


def test_a_second_run_compiles_nothing_and_cores_change_nothing(key, monkeypatch):
    sizes = {"num_warmup": 300, "num_samples": 100, "num_chains": 3}
    with pytest.warns(UserWarning, match="effective sample size"):
        first = bjm.nuts(target(LOG_GAMMA), start(), key=key, **sizes)
    traces.clear()
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with pytest.warns(UserWarning, match="effective sample size"):
        second = bjm.nuts(target(LOG_GAMMA), start(), key=key, **sizes)
    assert np.array_equal(first.draws, second.draws)
    one = run(target(GAUSSIAN), start(), key=key, num_chains=1, progress=True)
    assert np.isnan(one.diagnostics.r_hat).all()
    assert traces == []


def test_chains_start_at_spread_draws_of_the_start(key):
    stdv = np.arange(1.0, D + 1)
    mean = jnp.ones(D)
    wide = Model(bjm.GaussianParameter(mean, jnp.sqrt(stdv - 1e-4).astype(mean.dtype)))
    found = find_starts(wide, 2, 3.0, None, key)
    z = (found.points - 1) / stdv
    assert stats.kstest(np.ravel(z) / 3, "norm").pvalue > 0.01
    assert not np.any(z[0] == z[1])
    np.testing.assert_allclose(found.covariance, 9 * np.diag(stdv**2), rtol=1e-6)
    # Of half-Cauchy numbers the widths are those of the middle two thirds.
    heavy = bjm.Prior(default=bjm.priors.HalfCauchy(2.0))
    found = find_starts(wide, 2, 3.0, heavy, key)
    exact = stats.halfcauchy(scale=2)
    assert stats.kstest(np.ravel(found.points), exact.cdf).pvalue > 0.01
    widths = np.sqrt(np.diagonal(found.covariance))
    wanted = (exact.ppf(0.84) - exact.ppf(0.16)) / 2
    np.testing.assert_allclose(widths, wanted, rtol=0.6)


def test_a_chain_is_put_where_the_density_is_finite(key):
    density = FlatDensity(target(LOG_GAMMA), start())
    factor = np.diag(np.arange(1.0, D + 1, dtype=np.float32))
    origin = jnp.linspace(-1.0, 1.0, D)

    def go(density, chain, purpose, first, count):
        plan = np.tile(np.asarray([purpose, 0, 0], np.int32), (100, 1))
        numbers = jnp.int32(first), jnp.int32(count), jnp.float32(0.8)
        return advance(density, origin, chain, key, plan, *numbers, 10)

    chain, moves = go(density, nowhere(factor), PLACING, 0, 1)
    assert moves.num_gradients[0] == 1
    np.testing.assert_array_equal(moves.draw[0], origin)
    value, gradient = density.value_and_gradient(origin)
    assert float(chain.position.logdensity) == pytest.approx(float(value), rel=1e-5)
    by_z = chain.position.logdensity_grad
    np.testing.assert_allclose(by_z, factor @ gradient, rtol=1e-4, atol=1e-4)
    # With steps so short no trajectory turns round.
    short = eqx.tree_at(lambda c: c.step_size, chain, jnp.float32(1e-4))
    moves = go(density, short, SAMPLING, 1, 2)[1]
    assert np.all(moves.saturated[:2])
    assert np.all(np.asarray(moves.num_gradients[:2]) == 1_023)
    moves = go(density, chain, SAMPLING, 1, 100)[1]
    assert not np.any(moves.saturated)
    never = eqx.tree_at(lambda d: d.log_density.kind, density, jnp.int32(NEVER))
    chain, moves = go(never, nowhere(factor), PLACING, 0, 1)
    assert chain.position.logdensity == np.float32(NOWHERE)
    assert moves.failed[0]


def normal_draws(covariance, seed=0):
    factor = np.linalg.cholesky(covariance)
    return np.random.default_rng(seed).normal(size=(4, 500, len(factor))) @ factor.T


@pytest.mark.parametrize("correlation", [0.0, 0.9, 0.999])
@pytest.mark.parametrize("seed", range(5))
def test_narrow_starts_are_told_from_fits(correlation, seed):
    scale = np.array([1e-3, 1.0, 100.0])
    correlations = np.full((3, 3), correlation) + (1 - correlation) * np.eye(3)
    covariance = correlations * np.outer(scale, scale)
    draws = normal_draws(covariance, seed)
    mean_field = np.diag(1 / np.diagonal(np.linalg.inv(covariance)))
    for fit, a_bit in ((covariance, 4.5), (mean_field, 1.8)):
        assert np.all(start_ratio(4 * fit, draws) > 0.7)  # `spread` is 2
        assert np.all(start_ratio(4 * fit / a_bit**2, draws) > 0.4)
        # More than five times too narrow.
        ratio = start_ratio(4 * fit / 5.5**2, draws)
        assert np.all(ratio < 0.4)
    # In one entry alone.
    one = np.diag([1.0, 1 / 5.5, 1.0])
    assert start_ratio(4 * one @ mean_field @ one, draws)[1] < 0.4


def test_a_start_with_narrow_widths_is_told(key):
    narrow = Model(bjm.GaussianParameter(jnp.zeros(D), jnp.full(D, 0.3)))  # .09
    with pytest.warns(UserWarning, match=r"started within 0.0[67].* `prior="):
        posterior = run(target(LOG_GAMMA), narrow, key=key)
    exact = 2 * 0.0901 / np.append(stats.loggamma(SHAPE).std(), np.ones(D - 1))
    np.testing.assert_allclose(posterior.diagnostics.start_ratio, exact, rtol=0.2)


class Two(bjm.Module):
    a: bjm.AbstractParameter
    b: bjm.AbstractParameter


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_widths_that_were_never_fitted_are_refused(precision, request, key):
    if precision == "float64":
        request.getfixturevalue("x64")
    fresh = bjm.make_parameter(jnp.ones(2))
    fitted = bjm.make_parameter(jnp.ones(2), init_raw_stdv=0.5)
    laplacian = bjm.make_parameter(jnp.ones(2), param_type=bjm.LaplacianParameter)
    mixture = bjm.MixturePosterior([Two(fitted, fitted), Two(fresh, fresh)])
    starts = [
        (Two(fresh, fresh), r"\['a', 'b'\]"),
        (Two(fitted, fresh), r"\['b'\]"),
        (Two(fitted, laplacian), r"\['b'\]"),
        (mixture, r"\['a', 'b'\]"),
    ]
    for refused, names in starts:
        with pytest.raises(ValueError, match=rf"The widths of {names} in `start`"):
            bjm.nuts(target(GAUSSIAN), refused, key=key)
    joint = bjm.JointPosterior.full(Two(fresh, fresh), 0.1)
    for taken in (Two(fitted, fitted), joint):
        find_starts(taken, 2, 2.0, None, key)
    # With a prior, the fitted widths stay.
    found = find_starts(Two(fitted, fresh), 2, 2.0, PRIOR, key)
    widths = np.sqrt(np.diagonal(found.parts[0].covariance))
    np.testing.assert_allclose(widths[:2], 0.2501, rtol=1e-6)
    np.testing.assert_allclose(widths[2:], 5, rtol=0.3)


def moves_of(draws, **counts):
    """Moves without fault, but for the counts."""
    shape = draws.shape[:2]
    fields = dict.fromkeys(("diverged", "failed", "saturated"), np.zeros(shape, bool))
    fields |= {"num_gradients": np.full(shape, 7), "acceptance": np.full(shape, 0.8)}
    fields |= {"energy": np.random.default_rng(1).normal(size=shape), "draw": draws}
    moves = Move(**jax.tree.map(jnp.asarray, fields | counts))
    return jax.tree.map(np.asarray, moves)


@cache
def at_origin():
    return find_starts(start(), 4, 2.0, None, jax.random.key(0))


def judged(draws, **counts):
    ones = np.ones(len(draws))
    return judge(moves_of(draws, **counts), ones, 0 * ones, at_origin())


def test_different_modes_are_told_from_short_chains():
    draws = normal_draws(np.eye(D))
    assert judged(draws).complaints() == []
    shift = np.zeros((4, 1, D))
    shift[:, 0, 3] = [0, 10, 0, -10]
    apart = judged(draws + shift)
    assert apart.num_modes == 3
    assert "at least 3 different modes" in apart.complaints()[0]
    assert len(apart.complaints()) == 1
    walks = judged(np.cumsum(draws, axis=1))
    assert walks.num_modes == 1
    (complaint,) = [x for x in walks.complaints() if x.startswith("R-hat")]
    assert "the chains are too short" in complaint
    # One chain that has not arrived does not hide that the others differ.
    draws[0, :, 3] = np.linspace(-20, 20, draws.shape[1])
    assert judged(draws + shift).num_modes == 3


def test_chains_that_stay_and_long_trajectories_are_told():
    draws = normal_draws(np.eye(D))
    draws[2] = draws[2, :1]
    found = judged(draws)
    assert found.num_still.tolist() == [0, 0, 499, 0]
    assert any("The chains [2] stayed where they were" in x for x in found.complaints())
    draws, some = normal_draws(np.eye(D)), np.zeros((4, 500), bool)
    for name, message in (
        ("saturated", "148 of 1996 draws took a trajectory of the greatest length"),
        ("failed", "148 of 1996 draws met a log density that is not finite"),
        ("diverged", "148 of 1996 draws diverged"),
    ):
        some[:, 1:38] = True
        (complaint,) = judged(draws, **{name: some}).complaints()
        assert complaint.startswith(message)
        # One or two say something only of divergences.
        some[:] = False
        some[0, 1:3] = True
        assert bool(judged(draws, **{name: some}).complaints()) == (name == "diverged")


def test_rejections_and_slow_energies_are_told():
    draws = normal_draws(np.eye(D))
    moves = moves_of(draws)
    slow = np.cumsum(moves.energy, axis=1)
    one = eqx.tree_at(
        lambda m: m.energy, moves, np.where([[0], [1], [0], [0]], slow, 0)
    )
    moves = eqx.tree_at(lambda m: m.acceptance, moves, moves.acceptance * 0.3)
    (complaint,) = judge(moves, np.ones(4), np.zeros(4), at_origin()).complaints()
    assert "chains [0, 1, 2, 3] accepted with a mean probability of 0.24" in complaint
    (complaint,) = judge(one, np.ones(4), np.zeros(4), at_origin()).complaints()
    assert "energy of the chains [1] hardly changes" in complaint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_chains": 0}, "`num_chains` must be at least 1, but got 0"),
        ({"num_warmup": 19}, "`num_warmup` must be at least 20"),
        ({"num_samples": 3}, "`num_samples` must be at least 4"),
        ({"max_tree_depth": 0}, "`max_tree_depth` must be at least 1"),
        ({"target_acceptance": 1.0}, "`target_acceptance` must be between 0 and 1"),
        ({"spread": np.nan}, "`spread` must be positive and finite, but got nan"),
    ],
)
def test_bad_settings(settings, message, key):
    with pytest.raises(ValueError, match=message):
        bjm.nuts(target(GAUSSIAN), start(), key=key, **settings)


def test_bad_starts(key):
    with pytest.raises(ValueError, match="not finite at 100 places .* Lower `spread`"):
        bjm.nuts(target(NEVER), start(), key=key)
    with pytest.raises(ValueError, match="not finite at 100 places .* of `prior`"):
        bjm.nuts(target(NEVER), start(), key=key, prior=PRIOR)
    point = Model(bjm.DeterministicParameter(jnp.zeros(D)))
    with pytest.raises(ValueError, match="no parameter to infer"):
        bjm.nuts(target(GAUSSIAN), point, key=key)
    rule = bjm.Prior({"y": bjm.priors.Normal(0.0, 1.0)})
    with pytest.raises(ValueError, match="no parameter of that name"):
        bjm.nuts(target(GAUSSIAN), start(), key=key, prior=rule)
    unknown = bjm.PriorDraws(start(), PRIOR)
    with pytest.raises(NotImplementedError, match="moments of a PriorDraws"):
        bjm.nuts(target(GAUSSIAN), unknown, key=key)


def test_other_arguments_are_refused_by_name(key):
    density, model = target(GAUSSIAN), start()
    arrays = np.zeros(1), np.zeros((1, D)), np.zeros(1, bool), np.ones(1, bool)
    rest = {"outcomes": ("converged",), "noise": np.zeros(1)}
    rest |= {"num_redrawn": 0, "modes": ()}
    mode = bjm.MAPEstimate(model, np.zeros(()), *arrays, **rest)
    joint = bjm.JointPosterior.full(model, 1.0)
    for arguments, message in (
        (
            (density, mode),
            r"`start` is a MAPEstimate.*laplace\(log_density, mode\)",
        ),
        ((model, density), "swapped: the first is a Model, .* a Target, has no"),
        ((joint, density), "swapped: the first is a JointPosterior"),
        ((mode, density), "swapped: the first is a MAPEstimate"),
        ((joint, joint), "`log_density` must be a function .* is a JointPosterior"),
        ((density, density), "`start` must be a model .* is a Target"),
        ((density, None), "`start` must be a model .* is a NoneType"),
    ):
        with pytest.raises(TypeError, match=message):
            check_engine_arguments(*arguments)
    with pytest.raises(TypeError, match="`start` is a MAPEstimate"):
        bjm.nuts(density, mode, key=key)


def test_a_missing_extra_is_named(key, monkeypatch):
    monkeypatch.setitem(sys.modules, "blackjax", None)
    with pytest.raises(ImportError, match=r"BayesianJaxModels\[nuts\]"):
        bjm.nuts(target(GAUSSIAN), start(), key=key)
