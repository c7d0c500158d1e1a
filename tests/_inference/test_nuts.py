import os
import sys
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from arviz_stats.base.array import array_stats
from jax import lax
from scipy import stats

import BayesianJaxModels as bjm
from BayesianJaxModels._inference.chain import (
    NOWHERE,
    PLACING,
    advance,
    nowhere,
)
from BayesianJaxModels._inference.density import FlatDensity

D = 10
GAUSSIAN, LOG_GAMMA, TWO_MODES, FUNNEL, GAMMA, NEVER = range(6)
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

        def never():
            return jnp.full_like(first, jnp.nan)

        branches = [gaussian, log_gamma, two_modes, funnel, gamma, never]
        return lax.switch(self.kind, branches)


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
    plan, numbers = np.zeros((2, 3), np.int32), (np.int32(0), np.int32(2), 2.0, 0.8)
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
    with pytest.warns(UserWarning, match="R-hat is .* different modes"):
        posterior = run(target(TWO_MODES), start(0.0, 5.0), key=key, num_chains=8)
    found = posterior.diagnostics
    means = np.asarray(posterior.draws).reshape(8, -1, D)[..., 0].mean(1)
    assert means.min() < -5.5
    assert means.max() > 5.5
    assert found.r_hat[0] > 1.2
    assert np.all(found.r_hat[1:] < 1.02)


def test_divergences_are_counted(key):
    with pytest.warns(UserWarning, match="draws diverged"):
        posterior = run(target(FUNNEL), start(), key=key, target_acceptance=0.5)
    assert np.isfinite(posterior.draws).all()
    assert posterior.diagnostics.num_divergent.sum() > 5


def test_where_the_density_is_nan_moves_are_rejected_and_counted(key):
    with pytest.warns(UserWarning, match="not finite"):
        posterior = run(target(GAMMA), start(2.0, 1.0), key=key, spread=1.0)
    x = by_chain(posterior)[..., 0]
    assert x.min() > 0
    assert_within_error(np.stack([x, (x - 2) ** 2], axis=-1), 2)
    assert posterior.diagnostics.num_failed.sum() > 5


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
    density = FlatDensity(target(LOG_GAMMA), start())
    factor = np.diag(np.arange(1.0, D + 1, dtype=np.float32))
    plan = np.tile(np.asarray([PLACING, 0, 0], np.int32), (100, 1))

    def place(density):
        numbers = np.int32(0), np.int32(100), jnp.float32(2.0), jnp.float32(0.8)
        chain = nowhere(factor)
        return advance(density, jnp.ones(D), chain, key, plan, *numbers, 10)

    chain, moves = place(density)
    assert np.all(np.asarray(moves.num_gradients) == 1)
    z = (np.asarray(moves.draw) - 1) / np.arange(1, D + 1)
    assert stats.kstest(np.ravel(z) / 2, "norm").pvalue > 0.01
    value, gradient = density.value_and_gradient(moves.draw[-1])
    assert float(chain.position.logdensity) == pytest.approx(float(value), rel=1e-5)
    by_z = chain.position.logdensity_grad
    np.testing.assert_allclose(by_z, factor @ gradient, rtol=1e-4, atol=1e-4)
    never = eqx.tree_at(lambda d: d.log_density.kind, density, jnp.int32(NEVER))
    chain, moves = place(never)
    assert chain.position.logdensity == np.float32(NOWHERE)
    assert np.all(moves.failed)


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
    with pytest.raises(ValueError, match="not finite at 100 places where chain"):
        bjm.nuts(target(NEVER), start(), key=key)
    point = Model(bjm.DeterministicParameter(jnp.zeros(D)))
    with pytest.raises(ValueError, match="no parameter to infer"):
        bjm.nuts(target(GAUSSIAN), point, key=key)


def test_a_missing_extra_is_named(key, monkeypatch):
    monkeypatch.setitem(sys.modules, "blackjax", None)
    with pytest.raises(ImportError, match=r"BayesianJaxModels\[nuts\]"):
        bjm.nuts(target(GAUSSIAN), start(), key=key)
