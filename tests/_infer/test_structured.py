"""Arranged normal numbers, against what they promise."""

import jax
import numpy as np
import pytest
import scipy.stats
from jax import random

from BayesianJaxModels._infer.structured import antithetic_noise, sobol_noise


@pytest.mark.parametrize(("num", "dtype"), [(13, np.float32), (512, np.float64)])
def test_sobol_noise(num, dtype, key, x64):
    noise_of = jax.jit(sobol_noise, static_argnums=(1, 2, 3))
    noise = noise_of(key, num, 12, dtype)
    assert noise.dtype == dtype
    tolerance = 2e-6 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(noise.mean(0), 0, atol=tolerance)
    square = np.asarray(noise).T @ np.asarray(noise)
    np.testing.assert_allclose(square / num, np.eye(12), atol=tolerance)
    if num == 512:
        other = noise_of(random.fold_in(key, 1), num, 12, dtype)
        assert np.max(np.abs(noise - other)) > 0.1
        for column in np.asarray(noise, float).T:
            assert scipy.stats.kstest(column, "norm").statistic < 0.03


def test_antithetic_noise_is_numbers_and_their_negatives(key):
    noise = antithetic_noise(key, 8, 3, np.float32)
    assert noise.shape == (8, 3)
    assert noise.dtype == np.float32
    np.testing.assert_array_equal(noise[4:], -noise[:4])
    # The key of a pair does not hang on how many there are.
    more = antithetic_noise(key, 20, 3, np.float32)
    np.testing.assert_array_equal(more[:4], noise[:4])
    values = np.ravel(antithetic_noise(key, 4_000, 2, np.float32)[:2_000])
    assert scipy.stats.kstest(np.asarray(values, float), "norm").pvalue > 1e-3


def test_numbers_that_no_arrangement_has_are_refused(key):
    with pytest.raises(ValueError, match="`num_samples` must be even .* but got 7"):
        antithetic_noise(key, 7, 2, np.float32)
    with pytest.raises(ValueError, match="must be above 4, .*but got 4.*'antithetic'"):
        sobol_noise(key, 4, 4, np.float32)
    assert sobol_noise(key, 1, 0, np.float32).shape == (1, 0)
