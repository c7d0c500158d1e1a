"""Arranged normal numbers, against what they promise."""

import jax
import numpy as np
import pytest
import scipy.stats
from jax import random

from BayesianJaxModels._infer.structured import sobol_noise


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
