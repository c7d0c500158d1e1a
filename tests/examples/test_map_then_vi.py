"""MAP, then variational inference: beside exact answers."""

import numpy as np
import pytest
from scipy.stats import norm


@pytest.fixture(scope="module")
def example(run_small):
    return run_small("map_then_vi")


@pytest.fixture(scope="module")
def design(example):
    """The exact posterior once more: of least squares with the prior as data."""
    rng = np.random.default_rng(0)
    x = np.append(rng.uniform(-3, -0.5, 35), rng.uniform(1.5, 3, 25))
    y = np.sin(1.5 * x) + 0.1 * rng.normal(size=60)
    rows = np.vstack([example["bumps"](x) / 0.1, np.eye(12) / 0.7])
    return rows, np.append(y / 0.1, np.zeros(12))


def test_the_exact_posterior_is_exact(example, design):
    rows, seen = design
    mean, inverse = np.linalg.lstsq(rows, seen)[0], np.linalg.pinv(rows)
    np.testing.assert_allclose(example["exact_mean"], mean, rtol=1e-8, atol=1e-8)
    sd = np.linalg.norm(inverse, axis=1)
    np.testing.assert_allclose(example["exact_sd"], sd, rtol=1e-8)
    best = 1 / np.linalg.norm(rows, axis=0)
    np.testing.assert_allclose(example["best_sd"], best, rtol=1e-10)
    spread = np.linalg.norm(example["on_grid"] @ inverse, axis=1)
    np.testing.assert_allclose(example["exact_band_sd"], spread, rtol=1e-8)


def test_both_stages_reach_what_their_theory_says(example):
    assert np.all(example["error"] < 0.05)
    np.testing.assert_allclose(example["sd"], example["best_sd"], rtol=0.05)
    assert np.all(example["best_sd"] < 0.8 * example["exact_sd"])


def test_stages_learn_what_they_say(example):
    first, second = example["stage_one"].model, example["stage_two"].model
    np.testing.assert_array_equal(first.stdv, example["weights"].stdv)
    np.testing.assert_array_equal(second.mean, first.mean)


def test_the_band_is_too_narrow_in_the_gap_alone(example):
    factor = np.linalg.norm(example["on_grid"] * example["sd"], axis=1)
    ratio = factor / example["exact_band_sd"]
    grid = example["grid"]
    in_gap = (grid > -0.5) & (grid < 1.5)
    np.testing.assert_allclose(example["ratio"], ratio)
    assert ratio[in_gap].mean() < 0.75
    assert 0.9 < ratio[~in_gap].mean() < 1.1


def test_the_density_is_least_squares_with_weight_decay(example, design):
    """Up to a constant, as the prose has it."""
    rows, seen = design
    weights = example["stage_one"].model
    w = np.asarray(weights.value, float)
    expected = norm.logpdf(rows @ w, seen).sum()
    expected -= 60 * np.log(0.1) + 12 * np.log(0.7)
    np.testing.assert_allclose(example["problem"](weights), expected, rtol=1e-5)
    fit = np.mean((example["features"] @ w - example["y"]) ** 2)
    loss = fit + 0.1**2 / 0.7**2 / 60 * np.sum(w**2)
    constant = -36 * np.log(2 * np.pi) - 60 * np.log(0.1) - 12 * np.log(0.7)
    np.testing.assert_allclose(expected, constant - loss * 60 / (2 * 0.1**2), rtol=1e-9)
