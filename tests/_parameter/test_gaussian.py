import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy import stats

from BayesianJaxModels import (
    GaussianParameter,
)

MEAN = jnp.array([0.3, -1.0])
VALUE = jnp.array([0.5, 0.4])
RAW = jnp.array([0.5, 0.7])


def test_gaussian_density_and_width():
    parameter = GaussianParameter(MEAN, RAW)
    stdv = RAW**2 + 1e-4
    np.testing.assert_allclose(parameter.stdv, stdv, rtol=1e-6)
    expected = stats.norm.logpdf(VALUE, MEAN, stdv).sum()
    np.testing.assert_allclose(parameter.log_prob(VALUE), expected, rtol=1e-6)
    expected = sum(0.5 * np.log(2 * np.pi * np.e * s**2) for s in np.asarray(stdv))
    np.testing.assert_allclose(parameter.entropy(), expected, rtol=1e-6)


def test_widths_that_do_not_fit_are_named():
    with pytest.raises(
        ValueError, match=r"`raw_stdv` has shape \(1,\), but \(2,\) was"
    ):
        GaussianParameter(MEAN, jnp.ones(1))
    with pytest.raises(
        ValueError, match=r"`raw_stdv` has dtype float16, but `mean` has"
    ):
        GaussianParameter(MEAN, RAW.astype(jnp.float16))
