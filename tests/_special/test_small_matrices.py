"""Small matrices, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels._special import small_cholesky, solve_lower, solve_upper


@pytest.mark.parametrize("q", [1, 3])
def test_factors_and_solves(q, x64):
    rng = np.random.default_rng(q)
    roots = rng.normal(size=(5, 2, q, q + 2))
    matrices = roots @ np.swapaxes(roots, -1, -2)
    factors = small_cholesky(jnp.asarray(matrices))
    assert np.allclose(factors, np.linalg.cholesky(matrices), atol=1e-12)
    vectors = jnp.asarray(rng.normal(size=(5, 2, q)))
    lower = np.asarray(solve_lower(factors, vectors))
    assert np.allclose(np.einsum("...ij,...j->...i", factors, lower), vectors)
    upper = np.asarray(solve_upper(factors, vectors))
    assert np.allclose(np.einsum("...ji,...j->...i", factors, upper), vectors)


def test_not_positive_definite_is_nan():
    factors = small_cholesky(jnp.array([[[1.0, 2.0], [2.0, 1.0]], np.eye(2)]))
    assert np.isnan(factors[0]).any()
    assert np.array_equal(factors[1], np.eye(2))


def test_one_for_all_of_many(x64):
    factors = np.linalg.cholesky(np.array([[2.0, 0.5], [0.5, 1.0]]))
    vectors = np.arange(6.0).reshape(3, 2)
    found = jax.jit(solve_lower)(jnp.asarray(factors), jnp.asarray(vectors))
    assert np.allclose(found, np.linalg.solve(factors, vectors.T).T)
