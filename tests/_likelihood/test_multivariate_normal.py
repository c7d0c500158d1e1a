"""Correlated noise against SciPy, with gaps, learnt, and where it is impossible."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import random

import BayesianJaxModels as bjm

SCALE = np.array([0.5, 2.0, 1e-3])
CORRELATION = np.array([[1.0, 0.8, -0.3], [0.8, 1.0, 0.1], [-0.3, 0.1, 1.0]])
COVARIANCE = CORRELATION * np.outer(SCALE, SCALE)
MEAN = np.array([[0.5, 2.0, 7.0], [7.25, 30.0, -1.0], [4.0, 0.125, 0.0]])
VALUES = MEAN + SCALE * np.array([[0.7, -1.2, 0.4], [1.0, 2.0, -2.5], [0.1, 0.3, 0.2]])
MASK = np.array([[True, False, True], [False] * 3, [True, True, False]])


def of_the_rest(row, mask=(True, True, True)):
    """The log density of the entries that are there, by SciPy."""
    there = np.flatnonzero(mask)
    if len(there) == 0:
        return 0.0
    covariance = COVARIANCE[np.ix_(there, there)]
    normal = scipy.stats.multivariate_normal(MEAN[row, there], covariance)
    return normal.logpdf(VALUES[row, there])


def test_density_is_that_of_scipy_with_and_without_gaps(x64):
    whole = [of_the_rest(row) for row in range(3)]
    gaps = [of_the_rest(row, MASK[row]) for row in range(3)]
    holes = np.where(MASK, VALUES, np.nan)
    by_scale = bjm.likelihoods.MultivariateNormalLikelihood(SCALE, CORRELATION)
    by_covariance = bjm.likelihoods.MultivariateNormalLikelihood.from_covariance(
        COVARIANCE
    )
    learnt = bjm.likelihoods.MultivariateNormalLikelihood(
        log_scale=bjm.make_parameter(np.log(SCALE)), correlation=CORRELATION
    )

    @eqx.filter_jit
    def run(likelihood, mask=None):
        prediction = jnp.asarray(MEAN)
        data = VALUES if mask is None else holes
        value = likelihood.log_prob(prediction, data, mask)
        return value, likelihood.log_prob_each(prediction, data, mask)

    for likelihood in (by_scale, by_covariance, learnt):
        total, each = run(likelihood)
        np.testing.assert_allclose(each, whole, rtol=1e-11)
        np.testing.assert_allclose(total, np.sum(whole), rtol=1e-11)
    # A mask that is known, and one that only the compiled function sees.
    known = by_scale.log_prob_each(jnp.asarray(MEAN), holes, MASK)
    np.testing.assert_allclose(known, gaps, rtol=1e-11)
    np.testing.assert_allclose(run(by_scale, jnp.asarray(MASK))[1], gaps, rtol=1e-11)
    single = by_scale.log_prob_each(
        jnp.asarray(MEAN[:, ::-1], jnp.float32)[:, ::-1], holes, MASK
    )
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, gaps, rtol=2e-4)  # of data rounded to 1e-7
    of_rows = by_scale.log_prob_each(jnp.asarray(MEAN), VALUES, np.arange(3) == 1)
    np.testing.assert_allclose(of_rows, [0, whole[1], 0], rtol=1e-11)
    # Along the last axis, whatever comes before it; and with a scale for each row.
    stacked = by_scale.log_prob_each(jnp.asarray([MEAN] * 2), np.array([VALUES] * 2))
    np.testing.assert_allclose(stacked, [whole] * 2, rtol=1e-11)
    scales = np.stack([SCALE, 2 * SCALE, SCALE])
    wide = bjm.likelihoods.MultivariateNormalLikelihood(scales, CORRELATION)
    each = wide.log_prob_each(jnp.asarray(MEAN), VALUES)
    np.testing.assert_allclose(each[::2], whole[::2], rtol=1e-11)
    normal = scipy.stats.multivariate_normal(MEAN[1], 4 * COVARIANCE)
    np.testing.assert_allclose(each[1], normal.logpdf(VALUES[1]), rtol=1e-11)


def test_gradients_by_differences(x64):
    """With respect to predictions, scales and a correlation, with gaps."""
    rest = np.where(MASK, VALUES, np.nan)

    def log_prob(vector):
        prediction, scale, raw = vector[:9].reshape(3, 3), vector[9:12], vector[12:]
        rows = jnp.eye(3).at[1, 0].set(raw[0]).at[2, :2].set(raw[1:])
        rows = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
        noise = bjm.likelihoods.MultivariateNormalLikelihood(scale, rows @ rows.T)
        return noise.log_prob(prediction, rest, MASK)

    start = np.concatenate([MEAN.ravel(), [0.5, 2.0, 0.1], [0.5, -0.3, 0.4]])
    steps = 1e-6 * np.eye(len(start))
    ends = jax.jit(jax.vmap(log_prob))(
        jnp.asarray([start + steps, start - steps]).reshape(-1, 15)
    )
    differences = (ends[:15] - ends[15:]) / 2e-6
    gradient = jax.jit(jax.grad(log_prob))(jnp.asarray(start))
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6)
    assert np.all(gradient[:9].reshape(3, 3)[~MASK] == 0)
    pushed = jax.jit(jax.jacfwd(log_prob))(jnp.asarray(start))
    np.testing.assert_allclose(pushed, gradient, rtol=1e-9, atol=1e-9)


def test_a_draw_that_is_no_correlation(x64):
    """It alone has the density minus infinity and NaN draws; gradients are zero."""

    @jax.jit
    @jax.vmap
    def run(entries, prediction):
        def log_prob(entries, prediction):
            matrix = entries.reshape(2, 2)
            noise = bjm.likelihoods.MultivariateNormalLikelihood(0.5, matrix)
            return noise.log_prob(prediction, VALUES[:2, :2])

        slopes = jax.grad(log_prob, (0, 1))(entries, prediction)
        noise = bjm.likelihoods.MultivariateNormalLikelihood(0.5, entries.reshape(2, 2))
        draw = noise.sample(random.key(0), prediction)
        return log_prob(entries, prediction), slopes, draw

    right, wrong = [1, 0.5, 0.5, 1], [[1, 2, 2, 1], [1, 1, 1, 1], [1, np.nan, 0, 1]]
    wrong += [[1, 0.5, 0.4, 1], [4, 0.5, 0.5, 1], [-1, 0, 0, -1]]
    entries = jnp.array([right, *wrong])
    prediction = jnp.asarray([MEAN[:2, :2]] * len(entries))
    prediction = jnp.concatenate([prediction, prediction[:1].at[0, 0, 0].set(np.nan)])
    entries = jnp.concatenate([entries, entries[:1]])
    values, slopes, draws = run(entries, prediction)
    np.testing.assert_array_equal(np.isfinite(values), [True] + [False] * 7)
    assert np.all(values[1:] == -np.inf)
    for slope in slopes:
        assert np.all(np.isfinite(slope))
        assert np.all(slope[1:-1] == 0)
    # Of a row in which one prediction failed the density goes, and no other row.
    assert np.all(slopes[1][-1, 0] == 0)
    assert np.all(slopes[1][-1, 1] != 0)
    assert np.all(np.isnan(draws[1:-1]))
    assert np.all(np.isfinite(draws[0]))
    np.testing.assert_array_equal(np.isnan(draws[-1]), [[True, False], [False] * 2])


def test_draws_have_the_covariance(key):
    likelihood = bjm.likelihoods.MultivariateNormalLikelihood.from_covariance(
        COVARIANCE[:2, :2]
    )
    draws = likelihood.sample(key, jnp.full((40_000, 2), 3.0))
    np.testing.assert_allclose(draws.mean(0), 3.0, atol=4 * 2 / 200)
    found = np.cov(np.asarray(draws, float).T) / COVARIANCE[:2, :2]
    np.testing.assert_allclose(found, 1.0, atol=0.03)


def test_pointwise_terms_of_many_draws():
    """One for each row that has an entry, over the draws; what leaves rows out."""
    predictions = jnp.asarray(np.array([MEAN, MEAN + 0.1]), jnp.float32)
    likelihood = bjm.likelihoods.MultivariateNormalLikelihood(1.0, CORRELATION)
    each = jax.vmap(lambda p: likelihood.log_prob_each(p, VALUES, MASK))(predictions)
    assert each.shape == (2, 3)
    np.testing.assert_array_equal(each[:, 1], 0)
    assert np.all(each[:, MASK.any(axis=1)] != 0)
    normal = jax.vmap(
        lambda p: bjm.likelihoods.NormalLikelihood(1.0).log_prob_each(p, VALUES, MASK)
    )
    assert normal(predictions)[:, MASK].shape == (2, MASK.sum())
    assert np.all(normal(predictions)[:, ~MASK] == 0)


def test_mistakes_are_named():
    make = bjm.likelihoods.MultivariateNormalLikelihood
    for matrix in (2 * np.eye(2), [[1, 2], [2, 1]], [[1, 0.5], [0.4, 1]]):
        with pytest.raises(ValueError, match="(?s)`correlation` must be sym.*from_cov"):
            make(1.0, np.array(matrix, float))
    for matrix in ([[1, 2], [2, 1]], [[1, 0.5], [0.4, 1]], [[0, 0], [0, 1]]):
        with pytest.raises(ValueError, match="`covariance` must be symmetric and pos"):
            make.from_covariance(np.array(matrix, float))
    with pytest.raises(ValueError, match=r"`correlation` must be a square .* \(2, 3\)"):
        make(1.0, np.ones((2, 3)))
    with pytest.raises(TypeError, match="`correlation` must be a real number"):
        make(1.0)
    with pytest.raises(
        ValueError, match=r"`correlation` has shape \(3, 3\).* \(3, 2\)"
    ):
        make(1.0, CORRELATION).log_prob(jnp.zeros((3, 2)), np.zeros((3, 2)))
