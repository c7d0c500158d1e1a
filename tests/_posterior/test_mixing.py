"""What is true of every mixture, against plain sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import BayesianJaxModels as bjm
from BayesianJaxModels._posterior.mixing import (
    log_mixture,
    moments_of_all,
    parts_of_all,
    pick,
    pool,
    read_weights,
)

RNG = np.random.default_rng(0)
MODEL = bjm.make_parameter([0.0, 0.0])


def test_weights_sum_to_one():
    for given in ([1, 3, 4], [0.125, 0.375, 0.5], np.array([2.0, 6.0, 8.0])):
        np.testing.assert_array_equal(read_weights(given, 3), [0.125, 0.375, 0.5])
    np.testing.assert_array_equal(read_weights(None, 4), np.full(4, 0.25))
    np.testing.assert_array_equal(read_weights([0, 1], 2), [0, 1])


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ([1, -1], ValueError, "`weights` must be finite, at least 0 and not all 0"),
        ([0, 0], ValueError, "`weights` must be finite, at least 0 and not all 0"),
        ([1, np.inf], ValueError, "`weights` must be finite, at least 0 and not all"),
        ([np.nan, 1], ValueError, "`weights` must be finite, at least 0 and not all"),
        ([1, 1, 1], ValueError, r"`weights` has shape \(3,\), but \(2,\) was wanted"),
        (1.0, ValueError, r"`weights` has shape \(\), but \(2,\) was wanted"),
        ([1j, 1], TypeError, "`weights` must be a real number or an array of them"),
    ],
)
def test_wrong_weights_are_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        read_weights(wrong, 2)


def test_densities_far_apart_are_summed_without_underflow(x64):
    weights, each = np.array([0.2, 0.3, 0.5]), np.array([-1e4, -1e4 - 2, -2e4])
    exact = scipy.special.logsumexp(each, b=weights)
    found = log_mixture(jnp.asarray(weights), jnp.asarray(each))
    np.testing.assert_allclose(found, exact, rtol=1e-15)
    # One without weight counts for nothing, however high.
    found = log_mixture(jnp.array([1.0, 0.0]), jnp.array([-3.0, 900.0]))
    assert found == -3.0
    nowhere = log_mixture(jnp.array([0.5, 0.5]), jnp.full(2, -jnp.inf))
    assert nowhere == -jnp.inf


def groups():
    """Draws in three groups, and all of them in one, weighted alike."""
    shares = np.array([0.25, 0.5, 0.25])
    draws = [
        (RNG.normal(size=(n, 2)) + 3 * n).astype(np.float32).astype(float)
        for n in (3, 4, 5)
    ]
    parts = [bjm.DrawsPosterior(MODEL, jnp.asarray(x, jnp.float32)) for x in draws]
    weights = np.concatenate(
        [np.full(len(x), s / len(x)) for s, x in zip(shares, draws, strict=True)]
    )
    return jnp.asarray(shares), parts, np.concatenate(draws), weights


def test_moments_of_parts_are_those_of_all_their_draws():
    shares, parts, draws, weights = groups()
    mean, covariance = moments_of_all(shares, parts)
    exact = np.cov(draws.T, aweights=weights, ddof=0)
    # The weights of draws are those of single precision.
    np.testing.assert_allclose(mean, weights @ draws, rtol=2e-7)
    np.testing.assert_allclose(covariance, exact, rtol=2e-6)
    assert mean.dtype == covariance.dtype == np.float64


def test_pooled_means_and_widths_are_those_of_all_draws(x64):
    shares, parts, draws, weights = groups()
    each = [np.asarray(part.draws, float) for part in parts]
    means, stdvs = (
        jnp.asarray([f(x, axis=0) for x in each]) for f in (np.mean, np.std)
    )
    mean, stdv = pool(jnp.asarray(shares), means, stdvs)
    exact = weights @ draws
    np.testing.assert_allclose(mean, exact, rtol=1e-14)
    variance = weights @ (draws - exact) ** 2
    np.testing.assert_allclose(stdv, np.sqrt(variance), rtol=1e-14)


def test_parts_of_parts_have_the_product_of_their_weights():
    one, two, three = (bjm.make_parameter([float(i), 0.0]) for i in range(3))
    inner = bjm.MixturePosterior([one, two], weights=[1.0, 3.0])
    weights, parts = parts_of_all(jnp.array([0.5, 0.5]), [inner, three])
    np.testing.assert_array_equal(weights, [0.125, 0.375, 0.5])
    assert weights.dtype == np.float64
    for part, model in zip(parts, (one, two, three), strict=True):
        assert part.model is model


def test_parts_are_picked_in_proportion_and_never_without_weight(key):
    weights = jnp.array([0.0, 0.7, 0.0, 0.3])
    picks = jax.jit(jax.vmap(lambda key: pick(key, weights)))
    counts = np.bincount(picks(jax.random.split(key, 10_000)), minlength=4)
    assert counts[0] == counts[2] == 0
    assert abs(counts[1] - 7_000) < 4.5 * (10_000 * 0.7 * 0.3) ** 0.5
