"""Pareto smoothing against exact answers and ArviZ."""

import numpy as np
import pytest
import scipy.stats

from BayesianJaxModels._infer._importance.psis import (
    effective_sample_size,
    in_words,
    largest_k_hat,
    pareto_smooth,
)


@pytest.mark.parametrize("shape", [0.1, 0.4, 0.9])
def test_k_hat_is_the_shape_of_the_tail(shape):
    generator = np.random.default_rng(0)
    excess = scipy.stats.genpareto(shape).rvs(100_000, random_state=generator)
    found = [pareto_smooth(np.log(x))[1] for x in np.split(excess, 4)]
    assert abs(np.mean(found) - shape) < 0.08


@pytest.mark.parametrize("n", [100, 1_000, 4_001])
def test_smoothing_is_that_of_arviz(n):
    """Also with draws that repeat, some of which are equal to the cutoff."""
    array_stats = pytest.importorskip("arviz_stats.base").array_stats
    generator = np.random.default_rng(n)
    for repeats, log_weights in (
        (1, generator.normal(size=n) ** 2),
        (3, np.repeat(generator.normal(size=n), 3)[:n]),
        (5, np.repeat(generator.normal(size=n), 5)[:n]),
    ):
        expected, expected_k_hat = array_stats.psislw(-log_weights, r_eff=1.0)
        weights, k_hat = pareto_smooth(log_weights)
        if np.isnan(expected_k_hat):
            # 1.3.3, unlike 0.8, fits no tail a quarter of which is its smallest weight.
            assert (n, repeats) == (100, 5)
            continue
        np.testing.assert_allclose(k_hat, expected_k_hat, rtol=1e-10)
        np.testing.assert_allclose(weights, np.exp(expected), rtol=1e-9)


def test_weights_without_a_tail():
    """Equal ones, also among draws that do not count, are said in words."""
    equal = np.zeros(1_000)
    half = np.where(np.arange(1_000) < 500, -np.inf, 0.0)
    outliers = np.append(equal, [5.0, 6.0, 7.0])
    more = np.append(equal, 1 + np.random.default_rng(0).random(40))
    found = [pareto_smooth(x)[1] for x in (equal, half, outliers, np.arange(9.0))]
    assert found == [-np.inf, -np.inf, np.inf, np.inf]
    assert np.isfinite(pareto_smooth(more)[1])
    np.testing.assert_array_equal(pareto_smooth(half)[0], np.exp(half) / 500)
    assert in_words(found[1]).startswith("no k-hat (the largest weights are all equal")
    assert in_words(found[2]).startswith("no k-hat (too few weights")
    assert in_words(0.123) == "k-hat 0.12"
    # Vehtari et al. 2024: .7 from 2,200 draws on.
    np.testing.assert_allclose([largest_k_hat(n) for n in (100, 4_000)], [0.5, 0.7])


def test_smoothing_keeps_averages_and_order():
    """Weights of N(0, 1) against N(0, .8): a mean that is known, and a heavy tail."""
    generator = np.random.default_rng(1)
    x = generator.normal(0, 0.8, 20_000)
    log_weights = scipy.stats.norm.logpdf(x) - scipy.stats.norm.logpdf(x, 0, 0.8)
    weights, k_hat = pareto_smooth(log_weights)
    np.testing.assert_allclose(weights.sum(), 1)
    assert np.all(np.diff(weights[np.argsort(log_weights)]) >= 0)
    np.testing.assert_allclose(weights @ x**2, 1, atol=0.05)
    assert 0.1 < k_hat < 0.6
    assert 1_000 < effective_sample_size(weights) < 20_000
    # A constant moves nothing, and draws of weight zero stay so.
    moved, _ = pareto_smooth(np.append(log_weights + 700, -np.inf))
    np.testing.assert_allclose(moved[:-1], weights, rtol=1e-9)
    assert moved[-1] == 0
    equal, k_hat = pareto_smooth(np.zeros(1_000))
    np.testing.assert_allclose(equal, 1e-3)
    assert k_hat == -np.inf
    with pytest.raises(ValueError, match="at least one number"):
        pareto_smooth(np.full(10, -np.inf))


def test_what_is_no_log_weight_is_refused():
    for wrong in (np.nan, np.inf):
        with pytest.raises(
            ValueError, match="numbers or minus infinity, with at least"
        ):
            pareto_smooth(np.array([0.0, wrong, -1.0]))


def test_effective_draws_are_counted_up_to_a_constant():
    weights = np.array([1.0, 1.0, 2.0, 0.0])
    assert effective_sample_size(weights) == 16 / 6
    assert effective_sample_size(weights / 4) == pytest.approx(16 / 6, rel=1e-15)
    assert effective_sample_size(np.full(7, 0.3)) == pytest.approx(7, rel=1e-15)
