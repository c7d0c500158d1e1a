"""The factor of a covariance, and doubles."""

import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels._posterior.covariance import as_float64, cholesky

CORRELATION = np.array([[1.0, 0.9, -0.2], [0.9, 1.0, 0.1], [-0.2, 0.1, 1.0]])


@pytest.mark.parametrize("scale", [[1.0, 1, 1], [1e-140, 1.0, 1e140], [1e-9, 3, 1e6]])
def test_the_factor_is_that_of_the_correlations_in_any_units(scale):
    scale = np.array(scale)
    factor = cholesky(CORRELATION * np.outer(scale, scale))
    np.testing.assert_array_equal(factor, np.tril(factor))
    found = factor / scale[:, None]
    np.testing.assert_allclose(found, np.linalg.cholesky(CORRELATION), rtol=1e-14)
    np.testing.assert_allclose(found @ found.T, CORRELATION, rtol=1e-14)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 2)),
        np.diag([1.0, 0.0]),
        np.ones((2, 2)),
        np.array([[1.0, 2.0], [2.0, 1.0]]),
        np.diag([1.0, np.nan]),
        np.array([[1.0, np.nan], [np.nan, 1.0]]),
        np.diag([np.inf, 1.0]),
        np.diag([-1.0, 1.0]),
    ],
    ids=["no width", "one of none", "singular", "indefinite", "NaN"]
    + ["NaN beside", "infinite", "negative"],
)
def test_what_is_no_covariance_is_refused_with_its_variances(wrong):
    with pytest.raises(ValueError, match="finite and positive definite") as told:
        cholesky(wrong)
    assert f"variances are {np.diagonal(wrong)}. A parameter may" in str(told.value)
    assert "`DeterministicParameter`" in str(told.value)


def test_doubles_have_the_values_of_what_they_were():
    single = jnp.array([0.1, 1e-30], jnp.float32)
    found = as_float64(single)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found.astype(np.float32), single)
    assert found[0] != 0.1  # that of a float32
