"""Mixtures of Student t distributions, against SciPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from BayesianJaxModels._infer._importance.psis import effective_sample_size
from BayesianJaxModels._infer._importance.student import (
    Students,
    _tempered,
    draw_student,
)

RNG = np.random.default_rng(0)
DF = 5
MEANS = np.array([[0.0, 1.0], [100.0, -1.0]])
COVARIANCES = np.array([[[1.0, 0.6], [0.6, 2.0]], [[1e-6, 0.0], [0.0, 9.0]]])


def students(num_draws=100, weights=(1.0, 3.0)):
    return Students.at(num_draws, np.array(weights, float), MEANS, COVARIANCES)


def test_the_density_is_that_of_scipy():
    """A fifth of the draws is shared out evenly, the rest by weight."""
    found = students()
    np.testing.assert_array_equal(found.counts, [30, 70])
    draws = np.concatenate([RNG.normal(size=(20, 2)), MEANS, [[1e6, -1e6]]])
    each = [
        scipy.stats.multivariate_t(mean, covariance, DF).logpdf(draws)
        for mean, covariance in zip(MEANS, COVARIANCES, strict=True)
    ]
    exact = scipy.special.logsumexp(each, axis=0, b=[[0.3], [0.7]])
    np.testing.assert_allclose(found.log_density(draws, DF), exact, rtol=1e-12)


@pytest.mark.parametrize("num_draws", [2, 7, 1_000])
@pytest.mark.parametrize("weights", [(1, 0), (1e-9, 1), (1, 1)])
def test_every_draw_has_a_component_and_every_component_a_draw(num_draws, weights):
    counts = students(num_draws, weights).counts
    assert counts.sum() == num_draws
    assert counts.min() >= 1
    if num_draws == 1_000:
        exact = 0.8 * np.array(weights) / np.sum(weights) + 0.1
        np.testing.assert_allclose(counts / 1_000, exact, atol=2e-3)


def test_draws_are_in_turn_those_of_each_component(key):
    found = students(4_000)
    arrays = (found.means, found.factors)
    means, factors = (jnp.asarray(x, jnp.float32) for x in arrays)
    counts = jnp.asarray(found.counts)

    @jax.jit
    @jax.vmap
    def draw(index, key):
        return draw_student(means, factors, counts, index, key, DF)

    draws = draw(jnp.arange(4_000), jax.random.split(key, 4_000))
    first = found.counts[0]
    for index, part in enumerate(np.split(np.asarray(draws, float), [first])):
        z = (part - MEANS[index]) @ np.linalg.inv(found.factors[index]).T
        # Rounding at 100 takes the digits of a width of 1e-3.
        columns = z if index == 0 else z[:, 1:]
        for column in columns.T:
            assert scipy.stats.kstest(column, scipy.stats.t(DF).cdf).pvalue > 1e-3
        if index == 0:
            square = np.sum(z**2, axis=1) / 2
            assert scipy.stats.kstest(square, scipy.stats.f(2, DF).cdf).pvalue > 1e-3


def test_components_move_to_the_draws_that_are_theirs():
    """Groups that are far apart, whose own moments are what comes."""
    near = MEANS[0] + RNG.normal(size=(300, 2)) * [0.5, 1.5]
    far = MEANS[1] + RNG.normal(size=(100, 2)) * [1e-3, 2.0]
    draws = np.concatenate([near, far])
    log_weights = np.full(400, -7.0)
    log_weights[-1] = -np.inf
    found = students(1_000).adapted(draws, log_weights, DF)
    for mean, factor, group in zip(
        found.means, found.factors, (near, far[:-1]), strict=True
    ):
        np.testing.assert_allclose(mean, group.mean(0), rtol=1e-9)
        exact = np.cov(group.T, ddof=0)
        scale = np.sqrt(np.diagonal(exact))
        found_ = factor @ factor.T / np.outer(scale, scale)
        np.testing.assert_allclose(found_, exact / np.outer(scale, scale), atol=1e-9)
    mass = np.array([300, 99]) / 399
    np.testing.assert_allclose(found.counts / 1_000, 0.8 * mass + 0.1, atol=2e-3)


def test_a_component_without_mass_stays():
    draws = MEANS[0] + RNG.normal(size=(100, 2))
    before = students()
    after = before.adapted(draws, np.zeros(100), DF)
    np.testing.assert_array_equal(after.means[1], before.means[1])
    np.testing.assert_array_equal(after.factors[1], before.factors[1])
    assert np.all(after.means[0] != before.means[0])
    # One for each, and nine tenths of the other 98.
    np.testing.assert_array_equal(after.counts, [89, 11])


def test_too_few_draws_for_a_covariance_are_told():
    draws = RNG.normal(size=(50, 2))
    log_weights = np.full(50, -np.inf)
    log_weights[:2] = 0
    message = "finite for 2 of 50 draws, too few or too close .* of 2 entries. Start"
    with pytest.raises(ValueError, match=message):
        students().adapted(draws, log_weights, DF)
    with pytest.raises(ValueError, match="finite for 50 of 50 draws, .*too close"):
        students().adapted(np.ones((50, 2)), np.zeros(50), DF)


def test_weights_are_tempered_no_more_than_it_takes():
    log_weights = 30 * RNG.normal(size=500)
    log_weights[:100] = -np.inf
    found = _tempered(log_weights, 3)
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-14)
    # 20 draws for each entry; 400 are finite.
    np.testing.assert_allclose(effective_sample_size(found), 60, rtol=1e-3)
    assert np.all(found[:100] == 0)
    power = np.diff(np.log(found[100:])) / np.diff(log_weights[100:])
    np.testing.assert_allclose(power, power[0], rtol=1e-6)
    even = np.log(np.linspace(1, 2, 500))
    np.testing.assert_allclose(_tempered(even, 3), np.exp(even) / np.exp(even).sum())
    # Half of the draws at most.
    np.testing.assert_allclose(
        effective_sample_size(_tempered(log_weights, 100)), 200, rtol=1e-3
    )


def test_a_line_goes_through_the_heaviest_component():
    line = students().line()
    np.testing.assert_array_equal(line.means, MEANS[[1, 1]])
    step = 0.01 * np.array([1e-3, 3.0]) / 2**0.5
    for factor in line.factors:
        np.testing.assert_allclose(factor[:, 0], step, rtol=1e-14)
        np.testing.assert_array_equal(factor[:, 1], 0)
