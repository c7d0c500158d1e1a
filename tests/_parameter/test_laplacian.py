import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy import stats

from BayesianJaxModels import (
    LaplacianParameter,
)

MEAN = jnp.array([0.3, -1.0])
VALUE = jnp.array([0.5, 0.4])
RAW = jnp.array([0.5, 0.7])


def test_laplacian_density_and_width():
    parameter = LaplacianParameter(MEAN, RAW)
    scale = RAW**2 + 1e-4
    np.testing.assert_allclose(parameter.scale, scale, rtol=1e-6)
    np.testing.assert_allclose(parameter.stdv, np.sqrt(2) * scale, rtol=1e-6)
    expected = stats.laplace.logpdf(VALUE, MEAN, scale).sum()
    np.testing.assert_allclose(parameter.log_prob(VALUE), expected, rtol=1e-6)
    expected = sum(np.log(2 * np.e * s) for s in np.asarray(scale))
    np.testing.assert_allclose(parameter.entropy(), expected, rtol=1e-6)


def test_widths_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"`raw_scale` has shape \(\), but \(2,\) was"):
        LaplacianParameter(MEAN, 0.1)
