"""What is true of every mixture, against plain sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

import BayesianJaxModels as bjm
from BayesianJaxModels._posterior.mixing import read_weights

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


@pytest.fixture(params=["mixture", "ensemble"])
def mix(request):
    """A mixture of models, as either kind makes one."""

    def make(models, weights):
        if request.param == "mixture":
            return bjm.MixturePosterior(models, weights)
        return bjm.ensemble(jax.tree.map(lambda *x: np.stack(x), *models), weights)

    return make


def normals(means, stdv=1.0):
    return [bjm.make_parameter([mean], stdv=stdv) for mean in means]


def test_densities_far_apart_are_summed_without_underflow(x64, mix):
    means, weights = np.array([140.0, 141.0, 200.0]), np.array([0.2, 0.3, 0.5])
    exact = scipy.special.logsumexp(scipy.stats.norm.logpdf(0, means), b=weights)
    drawn = bjm.make_parameter([0.0])
    found = mix(normals(means), weights).log_prob(drawn)
    np.testing.assert_allclose(found, exact, rtol=1e-12)
    # One without weight counts for nothing, however high.
    found = mix(normals([140.0, 0.0]), [1.0, 0.0]).log_prob(drawn)
    np.testing.assert_allclose(found, scipy.stats.norm.logpdf(140.0), rtol=1e-12)
    assert mix(normals([1e200, 1e200]), [0.5, 0.5]).log_prob(drawn) == -jnp.inf


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
    mean, covariance = bjm.MixturePosterior(parts, shares).moments()
    exact = np.cov(draws.T, aweights=weights, ddof=0)
    # The weights of draws are those of single precision.
    np.testing.assert_allclose(mean, weights @ draws, rtol=2e-7)
    np.testing.assert_allclose(covariance, exact, rtol=2e-6)
    assert mean.dtype == covariance.dtype == np.float64


def test_pooled_means_and_widths_are_those_of_the_whole(x64, mix):
    means, stdv, weights = np.array([0.5, 2.0, -3.0]), 0.3, np.array([0.2, 0.3, 0.5])
    mixture = mix(normals(means, stdv), weights)
    exact = weights @ means
    variance = stdv**2 + weights @ (means - exact) ** 2
    np.testing.assert_allclose(mixture.flatten_means(), [exact], rtol=1e-14)
    np.testing.assert_allclose(mixture.flatten_stdvs(), [variance**0.5], rtol=1e-13)
    mean, covariance = mixture.moments()
    np.testing.assert_allclose(mean, [exact], rtol=1e-14)
    np.testing.assert_allclose(covariance, [[variance]], rtol=1e-13)


def test_parts_of_parts_have_the_product_of_their_weights():
    one, two, three = (bjm.make_parameter([float(i), 0.0]) for i in range(3))
    inner = bjm.MixturePosterior([one, two], weights=[1.0, 3.0])
    weights, parts = bjm.MixturePosterior([inner, three]).parts()
    np.testing.assert_array_equal(weights, [0.125, 0.375, 0.5])
    assert weights.dtype == np.float64
    for part, model in zip(parts, (one, two, three), strict=True):
        assert part.model is model


def test_parts_are_picked_in_proportion_and_never_without_weight(key, mix):
    mixture = mix(normals([0.0, 1.0, 2.0, 3.0], 1e-3), [0.0, 0.7, 0.0, 0.3])
    draw = jax.jit(jax.vmap(lambda key: mixture.draw(key).mean))
    drawn = np.rint(draw(jax.random.split(key, 10_000))).astype(int)
    counts = np.bincount(drawn.ravel(), minlength=4)
    assert counts[0] == counts[2] == 0
    assert abs(counts[1] - 7_000) < 4.5 * (10_000 * 0.7 * 0.3) ** 0.5
