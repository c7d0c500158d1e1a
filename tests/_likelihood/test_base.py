"""What every likelihood does: density, draws, gaps and failures."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import random

import BayesianJaxModels as bjm

from .cases import (
    CASES,
    COUNTS,
    KINDS,
    MEAN,
    SCALE,
    VALUES,
    Logistic,
    every_likelihood,
)

# Three entries, where noise is of a length of its own.
THREE, THREE_VALUES = np.array([0.5, 2.0, 7.25]), np.array([1.0, 2.0, 9.0])
MASK_OF_THREE = np.array([True, False, True])


@every_likelihood
def test_density_is_that_of_scipy(name, x64):
    make, distribution, observation = CASES[name]
    expected = distribution(MEAN)
    is_count = observation is COUNTS
    expected = (expected.logpmf if is_count else expected.logpdf)(observation)
    likelihood, prediction = make(), jnp.asarray(MEAN)
    log_prob_each = jax.jit(lambda p: likelihood.log_prob_each(p, observation))
    np.testing.assert_allclose(log_prob_each(prediction), expected, rtol=1e-11)
    total = likelihood.log_prob(prediction, observation)
    np.testing.assert_allclose(total, expected.sum(), rtol=1e-11)
    single = log_prob_each(prediction.astype(jnp.float32))
    assert single.dtype == jnp.float32
    # Terms of 2,000, as `gammaln(350)`, cancel.
    rounding = 2_000 * jnp.finfo(jnp.float32).eps if is_count else 0
    np.testing.assert_allclose(single, expected, rtol=2e-6, atol=rounding)


@every_likelihood
def test_draws(name, key):
    make, distribution, _ = CASES[name]
    prediction = jnp.array([7.25, 2.0])
    draws = jax.vmap(make().sample, in_axes=(0, None))(
        random.split(key, 10_000), prediction
    )
    assert draws.dtype == prediction.dtype
    expected = distribution(np.asarray(prediction))
    for column, values in enumerate(np.asarray(draws, float).T):
        # Of whole numbers the statistic is smaller than of real ones.
        grid = np.sort(values)
        steps = expected.cdf(np.broadcast_to(grid[:, None], draws.shape))[:, column]
        above = np.searchsorted(grid, grid, side="right") / len(grid)
        assert np.max(np.abs(above - steps)) < 1.95 / 10_000**0.5


@every_likelihood
def test_masks_and_failures(name):
    """What is masked counts nothing; a failing prediction has finite gradients."""
    make, _, observation = CASES[name]
    prediction = jnp.asarray(MEAN, jnp.float32)
    mask = np.array([[True, False], [False, True], [True, True]])
    gaps = np.array([1.0, np.nan, -np.inf, -0.5])[:, None, None]
    failures = [np.nan, np.inf, -np.inf]
    failures += [] if name in ("normal", "Student t") else [0.0, -1.0]
    failing = jnp.stack([prediction.at[1, 0].set(failure) for failure in failures])

    def log_prob(*args):
        return make().log_prob(*args)

    @eqx.filter_jit
    @jax.vmap
    def run(*args):
        return log_prob(*args), jax.grad(log_prob)(*args), jax.jacfwd(log_prob)(*args)

    masks = np.array([mask] * len(gaps) + [np.ones_like(mask)] * len(failures))
    predictions = jnp.concatenate([jnp.where(mask, prediction, gaps), failing])
    observations = np.where(masks, observation, np.resize(gaps, (len(masks), 1, 1)))
    values, *slopes = run(predictions, observations, masks)
    each = make().log_prob_each(prediction, observation)
    np.testing.assert_allclose(values[: len(gaps)], each[mask].sum(), rtol=1e-6)
    assert np.all(values[len(gaps) :] == -np.inf)
    for slope in slopes:
        of_masked, of_failing = np.split(slope, [len(gaps)])
        assert np.all(of_masked[:, ~mask] == 0)
        assert np.all(of_masked[:, mask] != 0)
        np.testing.assert_array_equal(of_masked[1:], of_masked[:-1])
        assert np.all(of_failing[:, 1, 0] == 0)
        assert np.all(of_failing[:, 0] != 0)
        assert np.all(np.isfinite(of_failing))
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-5, atol=1e-6)
    of_failing = make().log_prob_each(failing[0], observation)
    np.testing.assert_array_equal(of_failing[0], each[0])
    draw = make().sample(random.key(0), failing[0])
    np.testing.assert_array_equal(np.isnan(draw), np.isnan(failing[0]))
    first_row = make().log_prob(prediction, observation, np.arange(3) == 0)
    np.testing.assert_allclose(first_row, each[0].sum(), rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(kind, np.float32) for kind in KINDS]
    + [("t of a df", np.float64), ("interval", np.float64)],
)
def test_a_draw_with_impossible_noise(kind, dtype, x64):
    """It alone has the density minus infinity, with gradients of zero."""
    make, may_be_infinite = KINDS[kind]

    @jax.jit
    @jax.vmap
    def run(noise, prediction):
        def log_prob(noise, prediction):
            return make(noise).log_prob(prediction, THREE_VALUES)

        args = (noise, prediction)
        sample = make(noise).sample(random.key(0), prediction)
        slopes = [of(log_prob, (0, 1))(*args) for of in (jax.grad, jax.jacfwd)]
        return log_prob(*args), slopes, sample

    bad = [-0.2, 0.0, np.nan, *([] if may_be_infinite else [np.inf])]
    # One number, and one for each entry of which the second is bad.
    noise = np.array([[0.7] * 3, [0.7] * 3, *[[0.7, x, 0.7] for x in bad]], dtype)
    prediction = jnp.asarray(np.tile(THREE, (len(noise), 1)), dtype)
    values, slopes, draws = run(jnp.asarray(noise), prediction)
    assert values.dtype == dtype
    assert np.all(np.isfinite(values[:2]))
    assert np.all(values[2:] == -np.inf)
    for of_noise, of_prediction in slopes:
        assert np.all(np.isfinite(of_noise))
        assert np.all(np.isfinite(of_prediction))
        assert np.all(of_noise[2:, 1] == 0)
        assert np.all(of_prediction[2:, 1] == 0)
        assert np.all(of_noise[:2, 1] != 0)
    fails = (np.arange(len(noise))[:, None] > 1) & (np.arange(3) == 1)
    np.testing.assert_array_equal(np.isnan(draws), fails)
    one_number = jax.jit(lambda s: make(s).log_prob(prediction[0], THREE_VALUES))
    assert one_number(jnp.array(-0.2, dtype)) == -np.inf
    np.testing.assert_allclose(one_number(jnp.array(0.7, dtype)), values[0], rtol=1e-5)


def test_noise_that_does_not_broadcast_is_named():
    prediction = jnp.asarray(MEAN, jnp.float32)
    with pytest.raises(ValueError, match=r"`scale` has shape \(3,\), .* to \(3, 2\)"):
        bjm.likelihoods.NormalLikelihood(np.ones(3)).log_prob(prediction, VALUES)


def test_a_likelihood_of_your_own_has_masks_failures_and_errors(key):
    own, prediction = Logistic(), jnp.array([0.0, 1.0, np.nan])
    each = own.log_prob_each(prediction, np.array([0.5, np.nan, 0.0]), MASK_OF_THREE)
    expected = scipy.stats.logistic.logpdf(0.5)
    np.testing.assert_allclose(each, [expected, 0, -np.inf], rtol=1e-6)
    np.testing.assert_array_equal(
        np.isnan(own.sample(key, prediction)), [False, False, True]
    )
    for ability in ("log_cdf", "log_survival"):
        message = rf"`Logistic` has no `{ability}\(prediction, .* In a subclass of your"
        with pytest.raises(NotImplementedError, match=message):
            getattr(own, ability)(prediction, prediction, {})


def test_the_whole_is_the_sum_of_its_terms(key):
    likelihood = bjm.likelihoods.NormalLikelihood(SCALE)
    prediction = jnp.asarray(MEAN, jnp.float32)
    terms = likelihood.log_prob_each(prediction, VALUES)
    assert terms.shape == MEAN.shape
    np.testing.assert_allclose(
        likelihood.log_prob(prediction, VALUES), np.sum(terms), rtol=1e-6
    )
