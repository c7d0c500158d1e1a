import os
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arviz_stats.base.array import array_stats
from scipy import stats

import BayesianJaxModels as bjm
from tests._infer._nuts.cases import (
    CENTRE,
    COVARIANCE,
    FUNNEL,
    GAMMA,
    GAUSSIAN,
    HALF_NORMAL,
    LOG_GAMMA,
    NEVER,
    PRIOR,
    SHAPE,
    TRAP,
    TWO_MODES,
    D,
    Model,
    start,
    target,
    traces,
)

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


def test_a_start_with_narrow_widths_is_told(key):
    narrow = Model(bjm.GaussianParameter(jnp.zeros(D), jnp.full(D, 0.3)))  # .09
    with pytest.warns(UserWarning, match=r"started within 0.0[67].* `prior="):
        posterior = run(target(LOG_GAMMA), narrow, key=key)
    exact = 2 * 0.0901 / np.append(stats.loggamma(SHAPE).std(), np.ones(D - 1))
    np.testing.assert_allclose(posterior.diagnostics.start_ratio, exact, rtol=0.2)


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
    with pytest.raises(
        bjm.AllFailedError, match="not finite at 100 places .* Lower `spread`"
    ):
        bjm.nuts(target(NEVER), start(), key=key)
    with pytest.raises(
        bjm.AllFailedError, match="not finite at 100 places .* of `prior`"
    ):
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


def test_a_missing_extra_is_named(key, monkeypatch):
    monkeypatch.setitem(sys.modules, "blackjax", None)
    with pytest.raises(ImportError, match=r"BayesianJaxModels\[nuts\]"):
        bjm.nuts(target(GAUSSIAN), start(), key=key)
